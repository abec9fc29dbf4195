"""Evaluate how well a model has learned an algorithm.

    fairseq-memory evaluate algorithmic addition/checkpoint_best.pt --lengths 20 40 60
    fairseq-memory evaluate algorithmic rare/filled.pt --rarity --lifelong

All numbers are percentages. --rarity measures rare symbols by how often training asked for f of
them. --lifelong repeats symbols for which training never asked: the model is asked first, then its
memory stores the answer. --picture draws the state and the tape of a Neural GPU for one example.
"""

import argparse
from pathlib import Path

from fairseq_plugins.arguments import collected, positive


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("path", type=Path, help="checkpoint")
    add("--lengths", type=positive, nargs="*", default=[], help="lengths of examples, one row each")
    add("--rarity", action="store_true", help="measure rare symbols by their frequency in training")
    add("--lifelong", action="store_true", help="measure repeated symbols that are written")
    add("--sequences", type=positive, default=2000, help="sequences for each row of a table")
    add("--symbols", type=positive, default=500, help="number of symbols, for --lifelong")
    add("--showings", type=positive, default=5, help="showings of each symbol, for --lifelong")
    add("--batch-size", type=positive, default=100, help="number of sequences in a batch")
    add("--picture", type=Path, metavar="PNG", help="picture of a Neural GPU's state to write")
    add("--picture-length", type=positive, default=5, help="length of the example in --picture")
    add("--cpu", action="store_true", help="do not use a GPU")


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Load the checkpoint, measure, and draw."""
    from fairseq_plugins.evaluation.algorithmic import Solver, watch
    from fairseq_plugins.evaluation.algorithmic_report import Measures, evaluate
    from fairseq_plugins.plots.algorithmic import states
    from fairseq_plugins.program import device

    solver = Solver(args.path, device(args.cpu))
    if args.picture:  # before the memory changes
        states(*watch(solver, args.picture_length), args.picture)
    measures = collected(args, Measures)
    report = evaluate(solver, measures)
    return str(report), report.as_json()
