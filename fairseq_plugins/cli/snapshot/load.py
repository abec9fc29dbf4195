"""Write a checkpoint with the weights of one file and the memory of another.

    fairseq-memory snapshot load --path checkpoint.pt --snapshot memory.safetensors \\
        --output restored.pt

A snapshot that other weights made is refused: its keys mean nothing to these.
"""

import argparse
from dataclasses import asdict
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say which, and where to."""
    add = parser.add_argument
    add("--path", type=Path, required=True, help="checkpoint with a memory")
    add("--snapshot", type=Path, required=True, help="file that `snapshot save` wrote")
    add("--output", type=Path, required=True, help="checkpoint to write")
    add("--any-model", action="store_true", help="accept a snapshot that other weights made")


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Load."""
    from fairseq_plugins.checkpoints.memories import MemoryOfCheckpoint

    header = MemoryOfCheckpoint(args.path).restore(args.snapshot, args.output, args.any_model)
    told = f"Wrote {args.output}: {header.filled:,} of {header.size:,} slots filled"
    return told, asdict(header)
