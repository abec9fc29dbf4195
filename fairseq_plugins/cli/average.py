"""Average the weights of several checkpoints of one training.

    fairseq-memory average --dir checkpoints --last 5 --output averaged.pt

The memory comes from the newest checkpoint. Its keys were computed with weights other than the
averaged ones; `fairseq-memory fill --clear` computes them again.
"""

import argparse
from pathlib import Path

from fairseq_plugins.arguments import positive


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--inputs", type=Path, nargs="+", metavar="FILE", help="checkpoints to average"
    )
    which.add_argument(
        "--last", type=positive, metavar="N", help="average the last N checkpoints of --dir"
    )
    parser.add_argument(
        "--dir", type=Path, help="folder of checkpoints (--save-dir of a training), for --last"
    )
    parser.add_argument("--output", type=Path, required=True, help="checkpoint to write")
    parser.add_argument(
        "--ema", action="store_true", help="average the moving averages that --store-ema kept"
    )


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Choose checkpoints, average them and save the result."""
    from fairseq_plugins.checkpoints.averaging import average_checkpoints
    from fairseq_plugins.checkpoints.files import last_checkpoints, write_checkpoint

    if (args.last is None) != (args.dir is None):
        args.error("--last and --dir go together")
    paths = args.inputs or last_checkpoints(args.dir, args.last)
    write_checkpoint(average_checkpoints(paths, args.ema), args.output)
    averaged = {"output": str(args.output), "averaged": [str(path) for path in paths]}
    return f"Wrote {args.output}, the average of {len(paths)} checkpoints", averaged
