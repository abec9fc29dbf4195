"""Trains and measures a general English-German translator: `make general`.

Prepares the mix of corpora of configs/data/general_en_de.yaml, trains `gnmt_base` and
`gnmt_memory_base` by configs/general_en_de.yaml, averages the last checkpoints, fills the memory
with what surprised the translator in the training text, and translates newstest2014 and manual
pages.
What is done already is skipped, and a training that was stopped goes on where it was.
"""

import argparse
import sys
from pathlib import Path

from fairseq_plugins.experiments.translation import GENERAL, table, translations
from fairseq_plugins.experiments.workshop import ROOT, add_options, workshop
from fairseq_plugins.program import start


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    mix = ROOT / "configs" / "data" / "general_en_de.yaml"
    add = parser.add_argument
    add("--mix", type=Path, default=mix, help=f"describes the corpora ({mix.name})")
    add("--source", type=Path, help="folder with them (that of --mix)")
    add("--archs", nargs="+", default=["gnmt_base", "gnmt_memory_base"], help="models to train")
    add_options(parser, "general")
    parser.set_defaults(seeds=[1])
    return parser.parse_args()


def main() -> None:
    """Prepare, train, translate, tell."""
    args = parse()
    start()
    shop = workshop(args)
    data = shop.prepare("mix", args.source, args.mix, "--workers", args.threads)
    results = translations(GENERAL, shop, data, args.archs, args.seeds, args.overrides)
    shop.save(results)
    sys.stdout.write(table(results))


if __name__ == "__main__":
    main()
