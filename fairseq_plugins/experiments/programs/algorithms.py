"""Reproduce the results on algorithms in docs/results.md: `make algorithms`.

    python scripts/reproduce.py algorithms --algorithms copy --seeds 1

For every algorithm and seed, trains a Neural GPU from configs/algorithms.yaml on short examples,
and measures how many longer examples it gets entirely right.
"""

import argparse

from fairseq_plugins.experiments.options import add_options

ALGORITHMS = ("binary_addition", "copy", "reverse")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add(
        "--algorithms",
        nargs="+",
        choices=ALGORITHMS,
        default=ALGORITHMS,
        help="algorithms to learn",
    )
    add_options(parser, "algorithms")


def run(args: argparse.Namespace) -> str:
    """Train, evaluate and return the results."""
    from fairseq_plugins.experiments.algorithms import CONFIG, algorithms, algorithms_table, draw
    from fairseq_plugins.experiments.workshop import workshop

    shop = workshop(args, CONFIG)
    results = algorithms(shop, args.algorithms, args.seeds, args.overrides)
    shop.save(results)
    draw(results, shop)
    return algorithms_table(results)
