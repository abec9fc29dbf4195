"""What it costs ranks to have the same memory: bytes and time of each commit.

    python scripts/benchmark_scaling.py --ranks 1 2 4

Each rank is a process of one thread on this machine; they talk by gloo. Every step, each stages
--tokens pairs, and all commit together. docs/scaling.md says what follows for more machines.
"""

import argparse
import sys
from pathlib import Path

from fairseq_plugins.benchmarks.scaling import Load, as_data, measure, table
from fairseq_plugins.program import positive, start, write_json


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--ranks", type=positive, nargs="+", default=[1, 2, 4], help="one line each (1 2 4)")
    add("--tokens", type=positive, default=1000, help="of each rank in a step (1000)")
    add("--key-dim", type=positive, default=128, help="numbers of a key (128)")
    add("--slots", type=positive, default=65536, help="of the memory (65536)")
    add("--steps", type=positive, default=20, help="to measure (20)")
    add("--json", type=Path, metavar="FILE", help="write all numbers there, too")
    return parser.parse_args()


def main() -> None:
    """Measure, tell."""
    args = parse()
    start()
    load = Load(args.tokens, args.key_dim, args.slots, args.steps)
    costs = [measure(ranks, load) for ranks in args.ranks]
    sys.stdout.write("\n".join(table(costs)) + "\n")
    if args.json:
        write_json(args.json, as_data(load, costs))


if __name__ == "__main__":
    main()
