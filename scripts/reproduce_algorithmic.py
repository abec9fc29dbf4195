"""Reproduces the rare symbols of docs/results.md: `make rare-symbols`.

For every seed, trains the translator without and with memory by configs/rare_symbols.yaml, fills
the memory with the training text, and measures: symbols by how often training asked for them, and
symbols that are met for the first time after training. What is done already is skipped, so an
interrupted run goes on where it stopped.
"""

import argparse
import json
import logging
import os
import sys
from pathlib import Path

from fairseq_plugins.tools import reproduce_algorithmic
from fairseq_plugins.tools.program import positive, start
from fairseq_plugins.tools.trainings import Workshop

logger = logging.getLogger("reproduce_algorithmic")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    models = list(reproduce_algorithmic.MODELS)
    add = parser.add_argument
    add("--out", type=Path, default=Path("rare_symbols"), help="folder for all that is made")
    add("--seeds", type=int, nargs="+", default=[1, 2, 3], help="one training each (1 2 3)")
    add("--models", nargs="+", choices=models, default=models, help="to train")
    add("--threads", type=positive, default=os.cpu_count() or 1, help="processor cores to use")
    add("--parallel", type=positive, default=1, help="trainings at a time, which share the cores")
    add("overrides", nargs="*", help="changes to the configuration, as hydra writes them")
    return parser.parse_args()


def main() -> None:
    """Train, fill, measure, tell."""
    args = parse()
    start()
    workshop = Workshop(args.out.resolve(), args.threads, args.parallel)
    results = reproduce_algorithmic.rare_symbols(workshop, args.models, args.seeds, args.overrides)
    (workshop.out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    reproduce_algorithmic.draw(results, workshop.out)
    sys.stdout.write(reproduce_algorithmic.table(results) + "\n")
    logger.info("Details are in %s", args.out / "results.json")


if __name__ == "__main__":
    main()
