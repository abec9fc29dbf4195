"""Measure what a memory of several ranks costs: bytes sent, time and main memory.

    python scripts/benchmark.py scaling --ranks 1 2 4

Each rank is a process of one thread on this machine; they communicate through gloo. At every step,
each rank asks a full memory --tokens queries, learns from the answers, and writes the queries. All
ranks have the whole memory, or it is divided among them; both hold the same in the end.
docs/scaling.md covers more machines.
"""

import argparse

from fairseq_plugins.arguments import positive
from fairseq_plugins.benchmarks.options import add_json


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--ranks", type=positive, nargs="+", default=[1, 2, 4], help="numbers of ranks to measure")
    add("--tokens", type=positive, default=1000, help="number of tokens of each rank in a step")
    add("--key-dim", type=positive, default=128, help="width of keys")
    add("--slots", type=positive, default=65536, help="number of slots of the memory")
    add("--neighbors", type=positive, default=32, help="number of neighbours that answer a query")
    add("--steps", type=positive, default=20, help="number of steps to measure")
    add_json(parser)


def run(args: argparse.Namespace) -> str:
    """Measure, and return the table."""
    from fairseq_plugins.benchmarks.report import begin, finish
    from fairseq_plugins.benchmarks.scaling import Load, as_data, costs_table, measure

    begin(args)
    load = Load(args.tokens, args.key_dim, args.slots, args.steps, args.neighbors)
    costs = [
        measure(ranks, load, divided)
        for ranks in args.ranks
        for divided in ((False, True) if ranks > 1 else (False,))
    ]
    return finish(args, as_data(load, costs), *costs_table(costs))
