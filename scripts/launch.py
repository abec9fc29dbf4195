"""Train in several processes, or divide a memory among them, on one machine without a GPU.

    python scripts/launch.py --workers 2 fairseq-train DATA --user-dir fairseq_plugins ...
    python scripts/launch.py --workers 2 fairseq-hydra-train --config-dir configs ...
    python scripts/launch.py --workers 2 fairseq-generate DATA --cpu ...
    python scripts/launch.py --workers 2 fairseq-memory fill --memory-sharded ...

Takes the same arguments as the command alone. In training, the batch size is per process, so an
update uses --workers times as many examples; all processes have the same model and the same memory,
and rank 0 writes the checkpoints. In the other programs, and with --memory-sharded also in
training, each process holds a part of the memory. If one process fails or is killed, the others end
with an error. On GPUs, fairseq trains on all that it finds without a launcher; torchrun starts the
other programs, also on several machines (docs/scaling.md).
"""

import argparse
import os
import sys

from fairseq_plugins.arguments import positive


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cores = os.cpu_count() or 1
    add = parser.add_argument
    add(
        "--workers",
        type=positive,
        default=cores,
        help=f"number of processes (default: one per core, {cores})",
    )
    add(
        "--threads",
        type=positive,
        help="number of cores for each process (default: an even share of all)",
    )
    add(
        "command",
        nargs=argparse.REMAINDER,
        help="a program with its arguments",
    )
    args = parser.parse_args()
    if not args.command:
        parser.error("name a command, for instance fairseq-train")
    return args


def main() -> None:
    """Start the processes and wait for them."""
    args = parse()
    from fairseq_plugins.experiments.launching import launch
    from fairseq_plugins.program import start

    start()
    threads = args.threads or max(1, (os.cpu_count() or 1) // args.workers)
    sys.exit(launch(args.command, args.workers, threads))


if __name__ == "__main__":
    main()
