"""Reproduce the algorithms of docs/results.md: `make algorithms`.

    python scripts/reproduce.py algorithms --algorithms copy --seeds 1

For every algorithm and seed, trains a Neural GPU by configs/algorithms.yaml on short examples, and
measures how many longer ones it gets right from beginning to end.
"""

import argparse

from fairseq_plugins.experiments.options import add_options

ALGORITHMS = ("binary_addition", "copy", "reverse")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what is trained."""
    add = parser.add_argument
    add("--algorithms", nargs="+", choices=ALGORITHMS, default=ALGORITHMS, help="to learn")
    add_options(parser, "algorithms")


def run(args: argparse.Namespace) -> str:
    """Train, measure, tell."""
    from fairseq_plugins.experiments.algorithms import CONFIG, algorithms, algorithms_table, draw
    from fairseq_plugins.experiments.workshop import workshop

    shop = workshop(args, CONFIG)
    results = algorithms(shop, args.algorithms, args.seeds, args.overrides)
    shop.save(results)
    draw(results, shop)
    return algorithms_table(results)
