"""Reproduces the Omniglot table of docs/results.md: `make omniglot`.

For every seed and split, trains `omniglot_convnet_memory` by configs/omniglot_vinyals.yaml and
evaluates it on characters that it never saw: N-way K-shot, k-th showing, retention. What is done
already is skipped, so an interrupted run goes on where it stopped.
"""

import argparse
import json
import logging
import os
import sys
from pathlib import Path

from fairseq_plugins.tools import reproduce_omniglot
from fairseq_plugins.tools.program import positive, start
from fairseq_plugins.tools.trainings import Workshop

logger = logging.getLogger("reproduce_omniglot")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--out", type=Path, default=Path("omniglot"), help="folder for all that is made")
    add("--source", type=Path, help="folder with the archives, instead of downloading them")
    add("--seeds", type=int, nargs="+", default=[1, 2, 3], help="one training each (1 2 3)")
    add("--splits", nargs="+", default=list(reproduce_omniglot.UPDATES), help="of the characters")
    add("--threads", type=positive, default=os.cpu_count() or 1, help="processor cores to use")
    add("--parallel", type=positive, default=1, help="trainings at a time, which share the cores")
    add("overrides", nargs="*", help="changes to the configuration, as hydra writes them")
    return parser.parse_args()


def main() -> None:
    """Prepare, train, evaluate, tell."""
    args = parse()
    start()
    workshop = Workshop(args.out.resolve(), args.threads, args.parallel)
    source = args.source and args.source.resolve()
    plan = reproduce_omniglot.Plan(workshop, source, args.seeds, args.splits, args.overrides)
    results = reproduce_omniglot.omniglot(plan)
    (workshop.out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    sys.stdout.write(reproduce_omniglot.table(results) + "\n")
    logger.info("Details are in %s", args.out / "results.json")


if __name__ == "__main__":
    main()
