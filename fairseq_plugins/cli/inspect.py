"""Show what is in a snapshot of a memory, or in the memory of a checkpoint, and check it.

    fairseq-memory inspect checkpoints/checkpoint_best.pt
    fairseq-memory inspect memory.safetensors

A file that is damaged, or holds no memory, is refused with one line.
"""

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say which file."""
    parser.add_argument("file", type=Path, help="checkpoint (*.pt) or snapshot of a memory")


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Read, check, describe."""
    if args.file.suffix == ".pt":
        from fairseq_plugins.checkpoints.memories import MemoryOfCheckpoint

        found = MemoryOfCheckpoint(args.file).summary()
    else:
        from fairseq_plugins.memory.snapshot import summarize

        found = summarize(args.file)
    return "\n".join(f"{name:<14}{value}" for name, value in found.items()), found
