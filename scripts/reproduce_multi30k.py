"""Reproduces the Multi30k table of docs/results.md: `make multi30k`.

For every seed, trains `gnmt` and `gnmt_memory` by configs/multi30k_en_de.yaml, averages the last
checkpoints, fills the memory with the training text, translates test_2016_flickr, and prints BLEU
and accuracy on rare words with mean and standard deviation. What is done already is skipped, so
an interrupted run goes on where it stopped.
"""

import argparse
import json
import logging
import os
import sys
from pathlib import Path

from fairseq_plugins.tools import reproduce_multi30k
from fairseq_plugins.tools.program import positive, start
from fairseq_plugins.tools.trainings import Workshop

logger = logging.getLogger("reproduce_multi30k")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--out", type=Path, default=Path("multi30k"), help="folder for all that is made")
    add("--source", type=Path, help="folder with the corpus, instead of downloading it")
    add("--seeds", type=int, nargs="+", default=[1, 2, 3], help="one training each (1 2 3)")
    add("--archs", nargs="+", default=["gnmt", "gnmt_memory"], help="models to train")
    add("--threads", type=positive, default=os.cpu_count() or 1, help="processor cores to use")
    add("--parallel", type=positive, default=1, help="trainings at a time, which share the cores")
    add("overrides", nargs="*", help="changes to the configuration, as hydra writes them")
    return parser.parse_args()


def main() -> None:
    """Prepare, train, translate, tell."""
    args = parse()
    start()
    workshop = Workshop(args.out.resolve(), args.threads, args.parallel)
    source = args.source and args.source.resolve()
    plan = reproduce_multi30k.Plan(workshop, source, args.seeds, args.archs, args.overrides)
    results = reproduce_multi30k.multi30k(plan)
    (workshop.out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    sys.stdout.write(reproduce_multi30k.table(results) + "\n")
    logger.info("Details are in %s", args.out / "results.json")


if __name__ == "__main__":
    main()
