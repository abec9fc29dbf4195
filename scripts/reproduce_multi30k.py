"""Reproduces the Multi30k table of docs/results.md: `make multi30k`.

For every seed, trains `gnmt` and `gnmt_memory` by configs/multi30k_en_de.yaml, averages the last
checkpoints, fills the memory with the training text, translates test_2016_flickr, and prints BLEU
and accuracy on rare words with mean and standard deviation. What is done already is skipped, so
an interrupted run goes on where it stopped.
"""

import argparse
import sys
from pathlib import Path

from fairseq_plugins.experiments.translation import MULTI30K, table, translations
from fairseq_plugins.experiments.workshop import add_options, workshop
from fairseq_plugins.program import start


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--source", type=Path, help="folder with the corpus, instead of downloading it")
    add("--archs", nargs="+", default=["gnmt", "gnmt_memory"], help="models to train")
    add_options(parser, "multi30k")
    return parser.parse_args()


def main() -> None:
    """Prepare, train, translate, tell."""
    args = parse()
    start()
    shop = workshop(args)
    data = shop.prepare("multi30k", args.source)
    results = translations(MULTI30K, shop, data, args.archs, args.seeds, args.overrides)
    shop.save(results)
    sys.stdout.write(table(results))


if __name__ == "__main__":
    main()
