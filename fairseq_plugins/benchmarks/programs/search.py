"""Measure searches as the memory grows, beside faiss used by itself.

    python scripts/benchmark.py search --slots 10000 100000 1000000 --plot search.png

A full memory is asked 256 queries for 32 neighbours each, and then writes them, in turn. Its keys
are made like those of a text: a direction for each word, and what the context adds. Beside a name,
the table shows in how many lists or buckets was searched to reach --recall.
"""

import argparse
from pathlib import Path

from fairseq_plugins.arguments import positive
from fairseq_plugins.benchmarks.options import add_json

SEARCHES = ("exact", "ivf", "lsh", "faiss flat", "faiss ivf")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--slots", type=positive, nargs="+", default=[10_000, 100_000, 1_000_000],
        help="numbers of slots of the memory")  # fmt: skip
    add("--search", nargs="+", default=list(SEARCHES), metavar="NAME",
        help=f"searches to measure, of {', '.join(SEARCHES)} or faiss:FACTORY")  # fmt: skip
    add("--dim", type=positive, default=128, help="width of keys and queries")
    add("--queries", type=positive, default=256, help="number of queries per step")
    add("--neighbors", type=positive, default=32, help="number of neighbours, k")
    add("--recall", type=float, default=0.99, help="recall by value to be reached, from 0 to 1")
    add("--steps", type=positive, default=5, help="number of steps to measure")
    add("--threads", type=positive, default=1, help="number of threads")
    add_json(parser)
    add("--plot", type=Path, metavar="FILE", help="picture of the times")


def run(args: argparse.Namespace) -> str:
    """Measure, and return the table."""
    from fairseq_plugins.benchmarks.report import begin, finish, heading
    from fairseq_plugins.benchmarks.search import Load, as_data, costs_table, draw, measure

    about = begin(args)
    load = Load(args.dim, args.queries, args.neighbors, args.steps, args.recall)
    costs = [
        measure(name, slots, load, args.threads) for slots in args.slots for name in args.search
    ]
    told = finish(
        args, {"machine": about} | as_data(load, costs), heading(about), "", *costs_table(costs)
    )
    if args.plot:
        draw(costs, args.plot)
    return told
