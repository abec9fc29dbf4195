"""Reproduces the Omniglot table of docs/results.md: `make omniglot`.

For every seed and split, trains `omniglot_convnet_memory` by configs/omniglot_vinyals.yaml and
evaluates it on characters that it never saw: N-way K-shot, k-th showing, retention. What is done
already is skipped, so an interrupted run goes on where it stopped.

    make omniglot ARGS="--quick --splits vinyals --seeds 1"

takes a few minutes: 1,500 updates, and the N-way K-shot table alone.
"""

import argparse
import sys
from pathlib import Path

from fairseq_plugins.experiments import omniglot as reproduce_omniglot
from fairseq_plugins.experiments.workshop import add_options, workshop
from fairseq_plugins.program import start


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--source", type=Path, help="folder with the archives, instead of downloading them")
    add("--splits", nargs="+", default=reproduce_omniglot.SPLITS, help="of the characters")
    add("--quick", action="store_true", help="train for a few minutes, and measure less")
    add_options(parser, "omniglot")
    return parser.parse_args()


def main() -> None:
    """Prepare, train, evaluate, tell."""
    args = parse()
    start()
    shop = workshop(args)
    plan = reproduce_omniglot.QUICK if args.quick else reproduce_omniglot.WHOLE
    results = reproduce_omniglot.omniglot(
        shop, plan, args.source, args.splits, args.seeds, args.overrides
    )
    shop.save(results)
    sys.stdout.write(reproduce_omniglot.table(results) + "\n")


if __name__ == "__main__":
    main()
