"""Take the memory out of a checkpoint, or put one back.

    fairseq-memory snapshot save --path checkpoint.pt --snapshot memory.safetensors
    fairseq-memory snapshot load --path checkpoint.pt --snapshot memory.safetensors \\
        --output restored.pt

Save before you try something that may spoil what was taught; load to undo it.
"""
