"""Reproduce the Omniglot table of docs/results.md: `make omniglot`.

    python scripts/reproduce.py omniglot --quick --splits vinyals --seeds 1

takes a few minutes: 1,500 updates, and only the N-way K-shot table. In full, for every seed and
split, trains `omniglot_convnet_memory` from configs/omniglot_vinyals.yaml and evaluates it on
characters that it has not seen: N-way K-shot, k-th showing, retention.
"""

import argparse
from pathlib import Path

from fairseq_plugins.experiments.options import add_options, source_options

SPLITS = ("vinyals", "background-evaluation")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--source", type=Path, help="folder with the archives, instead of downloading them")
    add("--splits", nargs="+", choices=SPLITS, default=SPLITS, help="splits of the characters")
    add("--quick", action="store_true", help="train for a few minutes, and measure less")
    add_options(parser, "omniglot")


def run(args: argparse.Namespace) -> str:
    """Prepare, train, evaluate and return the results."""
    from fairseq_plugins.experiments.omniglot import CONFIG, QUICK, WHOLE, omniglot, omniglot_table
    from fairseq_plugins.experiments.workshop import workshop

    shop = workshop(args, CONFIG)
    args.prepare("omniglot", "--out", shop.data, *source_options(args.source), "--sizes", 28)
    plan = QUICK if args.quick else WHOLE
    results = omniglot(shop, plan, shop.data, args.splits, args.seeds, args.overrides)
    shop.save(results)
    return omniglot_table(results)
