"""Write the memory of a checkpoint to a separate file.

    fairseq-memory snapshot save --path checkpoint.pt --snapshot memory.safetensors

The file has the safetensors format, and records which weights computed its keys.
"""

import argparse
from dataclasses import asdict
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--path", type=Path, required=True, help="checkpoint with a memory")
    parser.add_argument("--snapshot", type=Path, required=True, help="snapshot to write")


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Write the snapshot."""
    from fairseq_plugins.checkpoints.memories import MemoryOfCheckpoint

    header = MemoryOfCheckpoint(args.path).save(args.snapshot)
    told = f"Wrote {args.snapshot}: {header.filled:,} of {header.size:,} slots filled"
    return told, asdict(header)
