"""Reproduces the rare symbols of docs/results.md: `make rare-symbols`.

For every seed, trains the translator without and with memory by configs/rare_symbols.yaml (with
`--models`, the Extended Neural GPU by configs/rare_symbols_neural_gpu.yaml), fills the memory with
the training text, and measures: symbols by how often training asked for them, and symbols that are
met for the first time after training. What is done already is skipped, so an interrupted run goes
on where it stopped.
"""

import argparse
import sys

from fairseq_plugins.experiments import rare_symbols as reproduce_rare_symbols
from fairseq_plugins.experiments.workshop import add_options, workshop
from fairseq_plugins.program import start


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    models = list(reproduce_rare_symbols.MODELS)
    parser.add_argument(
        "--models", nargs="+", choices=models, default=models[:2],
        help=f"to train, among {', '.join(models)} (the first two)", metavar="MODEL",
    )  # fmt: skip
    add_options(parser, "rare_symbols")
    return parser.parse_args()


def main() -> None:
    """Train, fill, measure, tell."""
    args = parse()
    start()
    shop = workshop(args)
    results = reproduce_rare_symbols.rare_symbols(shop, args.models, args.seeds, args.overrides)
    shop.save(results)
    reproduce_rare_symbols.draw(results, shop.out)
    sys.stdout.write(reproduce_rare_symbols.table(results) + "\n")


if __name__ == "__main__":
    main()
