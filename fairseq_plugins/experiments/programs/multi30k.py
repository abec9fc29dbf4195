"""Reproduce the Multi30k table of docs/results.md: `make multi30k`.

    python scripts/reproduce.py multi30k --seeds 1

For every seed, trains `gnmt` and `gnmt_memory` from configs/multi30k_en_de.yaml, averages the last
checkpoints, fills the memory with the training text, translates test_2016_flickr, and prints BLEU
and accuracy on rare words with mean and standard deviation.
"""

import argparse
from pathlib import Path

from fairseq_plugins.experiments.options import add_options, source_options


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--source", type=Path, help="folder with the corpus, instead of downloading it")
    add("--archs", nargs="+", default=["gnmt", "gnmt_memory"], help="models to train")
    add_options(parser, "multi30k")


def run(args: argparse.Namespace) -> str:
    """Prepare, train, translate and return the results."""
    from fairseq_plugins.experiments.translation import MULTI30K, translations, translations_table
    from fairseq_plugins.experiments.workshop import workshop

    shop = workshop(args, MULTI30K.config)
    args.prepare("multi30k", "--out", shop.data, *source_options(args.source))
    results = translations(MULTI30K, shop, shop.data, args.archs, args.seeds, args.overrides)
    shop.save(results)
    return translations_table(results)
