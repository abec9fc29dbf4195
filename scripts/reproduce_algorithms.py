"""Reproduces the algorithms of docs/results.md: `make algorithms`.

For every algorithm and seed, trains a Neural GPU by configs/algorithms.yaml on short examples, and
measures how many longer ones it gets right from beginning to end. What is done already is skipped,
so an interrupted run goes on where it stopped.
"""

import argparse
import sys

from fairseq_plugins.experiments import algorithms as reproduce_algorithms
from fairseq_plugins.experiments.workshop import add_options, workshop
from fairseq_plugins.program import start


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = reproduce_algorithms.NAMES
    parser.add_argument("--algorithms", nargs="+", choices=names, default=names, help="to learn")
    add_options(parser, "algorithms")
    return parser.parse_args()


def main() -> None:
    """Train, measure, tell."""
    args = parse()
    start()
    shop = workshop(args)
    results = reproduce_algorithms.algorithms(shop, args.algorithms, args.seeds, args.overrides)
    shop.save(results)
    reproduce_algorithms.draw(results, shop)
    sys.stdout.write(reproduce_algorithms.table(results) + "\n")


if __name__ == "__main__":
    main()
