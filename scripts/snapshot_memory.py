"""Take the memory out of a translator's checkpoint, or put one back.

    python scripts/snapshot_memory.py save --path checkpoint.pt --snapshot memory.safetensors
    python scripts/snapshot_memory.py restore --path checkpoint.pt --snapshot memory.safetensors \
        --output restored.pt

Before something is tried that may spoil what was taught, save; to undo it, restore. A snapshot
of other weights is refused. ``inspect_memory.py`` shows what is in a snapshot.
"""

import argparse
import logging
from pathlib import Path

from fairseq_plugins.checkpoints.memories import MemoryOfCheckpoint
from fairseq_plugins.program import start

logger = logging.getLogger("snapshot_memory")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    save = commands.add_parser("save", help="checkpoint -> snapshot")
    restore = commands.add_parser("restore", help="checkpoint and snapshot -> checkpoint")
    for command in (save, restore):
        command.add_argument("--path", type=Path, required=True, help="checkpoint with a memory")
        command.add_argument("--snapshot", type=Path, required=True, help="file of the memory")
    restore.add_argument("--output", type=Path, required=True, help="checkpoint to write")
    restore.add_argument(
        "--any-model", action="store_true", help="take a snapshot of other weights, too"
    )
    return parser.parse_args()


def main() -> None:
    """Save or restore."""
    args = parse()
    start()
    memory = MemoryOfCheckpoint(args.path)
    if args.command == "save":
        header, written = memory.save(args.snapshot), args.snapshot
    else:
        header, written = memory.restore(args.snapshot, args.output, args.any_model), args.output
    logger.info("Wrote %s: %d of %d slots filled", written, header.filled, header.size)


if __name__ == "__main__":
    main()
