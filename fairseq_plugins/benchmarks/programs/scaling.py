"""What it costs ranks to have the same memory: bytes and time of each commit.

    python scripts/benchmark.py scaling --ranks 1 2 4

Each rank is a process of one thread on this machine; they talk by gloo. Every step, each stages
--tokens pairs, and all commit together. docs/scaling.md says what follows for more machines.
"""

import argparse
from pathlib import Path

from fairseq_plugins.arguments import positive


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say how many ranks, and what each of them does."""
    add = parser.add_argument
    add("--ranks", type=positive, nargs="+", default=[1, 2, 4], help="one line each")
    add("--tokens", type=positive, default=1000, help="of each rank in a step")
    add("--key-dim", type=positive, default=128, help="numbers of a key")
    add("--slots", type=positive, default=65536, help="of the memory")
    add("--steps", type=positive, default=20, help="to measure")
    add("--json", type=Path, metavar="FILE", help="write all numbers there, too")


def run(args: argparse.Namespace) -> str:
    """Measure, tell."""
    from fairseq_plugins.atomic import write_json
    from fairseq_plugins.benchmarks.scaling import Load, as_data, costs_table, measure

    load = Load(args.tokens, args.key_dim, args.slots, args.steps)
    costs = [measure(ranks, load) for ranks in args.ranks]
    if args.json:
        write_json(args.json, as_data(load, costs))
    return "\n".join(costs_table(costs))
