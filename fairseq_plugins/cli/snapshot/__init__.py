"""Save the memory of a checkpoint to a file, load it into a checkpoint, or show it.

    fairseq-memory snapshot save --path checkpoint.pt --snapshot memory.safetensors
    fairseq-memory snapshot load --path checkpoint.pt --snapshot memory.safetensors \\
        --output restored.pt

Save the memory before you try something that may damage it; load it to go back.
"""
