"""Describe and check a snapshot of a memory, or the memory of a checkpoint.

    fairseq-memory inspect checkpoints/checkpoint_best.pt
    fairseq-memory inspect memory.safetensors

A file that is damaged or has no memory is rejected in one line.
"""

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", type=Path, help="checkpoint (*.pt) or snapshot of a memory")


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Read, check and describe the file."""
    if args.file.suffix == ".pt":
        from fairseq_plugins.checkpoints.memories import MemoryOfCheckpoint

        found = MemoryOfCheckpoint(args.file).summary()
    else:
        from fairseq_plugins.memory.snapshot import summarize

        found = summarize(args.file)
    width = max(map(len, found)) + 2
    return "\n".join(f"{name:<{width}}{value}" for name, value in found.items()), found
