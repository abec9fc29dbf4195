"""Write the memory of a checkpoint to a file of its own.

    fairseq-memory snapshot save --path checkpoint.pt --snapshot memory.safetensors

The file is in the safetensors format, and says which weights made its keys.
"""

import argparse
from dataclasses import asdict
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say which, and where to."""
    parser.add_argument("--path", type=Path, required=True, help="checkpoint with a memory")
    parser.add_argument("--snapshot", type=Path, required=True, help="file to write")


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Save."""
    from fairseq_plugins.checkpoints.memories import MemoryOfCheckpoint

    header = MemoryOfCheckpoint(args.path).save(args.snapshot)
    told = f"Wrote {args.snapshot}: {header.filled:,} of {header.size:,} slots filled"
    return told, asdict(header)
