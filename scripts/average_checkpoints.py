"""Average the weights of several checkpoints of one training.

    python scripts/average_checkpoints.py --dir checkpoints --last 5 --output average.pt

The memory is that of the newest checkpoint; make it anew for the averaged weights with
fill_memory.py --clear.
"""

import argparse
import logging
from pathlib import Path

from fairseq_plugins.checkpoints.averaging import average_checkpoints
from fairseq_plugins.checkpoints.files import last_checkpoints, write_checkpoint
from fairseq_plugins.program import positive, start

logger = logging.getLogger("average_checkpoints")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--inputs", type=Path, nargs="+", metavar="FILE", help="checkpoints")
    which.add_argument("--last", type=positive, metavar="N", help="the last N checkpoints of --dir")
    parser.add_argument("--dir", type=Path, help="the --save-dir of a training, for --last")
    parser.add_argument("--output", type=Path, required=True, help="checkpoint to write")
    parser.add_argument("--ema", action="store_true", help="average what --store-ema kept")
    args = parser.parse_args()
    if (args.last is None) != (args.dir is None):
        parser.error("--last and --dir go together")
    return args


def main() -> None:
    """Choose, average, save."""
    args = parse()
    start()
    paths = args.inputs or last_checkpoints(args.dir, args.last)
    write_checkpoint(average_checkpoints(paths, args.ema), args.output)
    logger.info("Wrote %s", args.output)


if __name__ == "__main__":
    main()
