"""Train and measure a general English-German translator: `make general`.

    python scripts/reproduce.py general --archs gnmt_memory_base

Prepares the mix of corpora of configs/data/general_en_de.yaml, trains `gnmt_base` and
`gnmt_memory_base` from configs/general_en_de.yaml, averages the last checkpoints, fills the memory
with what surprised the translator in the training text, and translates newstest2014 and manual
pages.
"""

import argparse
from pathlib import Path

from fairseq_plugins.experiments.options import CONFIGS, add_options, source_options


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--mix", type=Path, default=CONFIGS / "data" / "general_en_de.yaml",
        help="YAML file that describes the corpora")  # fmt: skip
    add("--source", type=Path, help="folder with the corpora (default: that of --mix)")
    add("--archs", nargs="+", default=["gnmt_base", "gnmt_memory_base"], help="models to train")
    add_options(parser, "general", seeds=(1,))


def run(args: argparse.Namespace) -> str:
    """Prepare, train, translate and return the results."""
    from fairseq_plugins.experiments.translation import GENERAL, translations, translations_table
    from fairseq_plugins.experiments.workshop import workshop

    shop = workshop(args, GENERAL.config)
    source = source_options(args.source)
    args.prepare("mix", "--out", shop.data, *source, args.mix, "--workers", args.threads)
    results = translations(GENERAL, shop, shop.data, args.archs, args.seeds, args.overrides)
    shop.save(results)
    return translations_table(results)
