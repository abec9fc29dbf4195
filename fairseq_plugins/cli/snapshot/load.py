"""Write a checkpoint with the weights of one file and the memory of a snapshot.

    fairseq-memory snapshot load --path checkpoint.pt --snapshot memory.safetensors \\
        --output restored.pt

A snapshot from a model with other weights is rejected, because its keys have no meaning here.
"""

import argparse
from dataclasses import asdict
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--path", type=Path, required=True, help="checkpoint with a memory")
    add("--snapshot", type=Path, required=True, help="snapshot written by `snapshot save`")
    add("--output", type=Path, required=True, help="checkpoint to write")
    add(
        "--any-model", action="store_true", help="accept a snapshot from a model with other weights"
    )


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Combine the checkpoint with the snapshot."""
    from fairseq_plugins.checkpoints.memories import MemoryOfCheckpoint

    header = MemoryOfCheckpoint(args.path).restore(args.snapshot, args.output, args.any_model)
    told = f"Wrote {args.output}: {header.filled:,} of {header.size:,} slots filled"
    return told, asdict(header)
