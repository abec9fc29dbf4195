"""Measure what a model has learned of an algorithm.

    fairseq-memory evaluate algorithmic addition/checkpoint_best.pt --lengths 20 40 60
    fairseq-memory evaluate algorithmic rare/filled.pt --rarity --lifelong

All numbers are per cent. --rarity: for rare symbols, by how often training asked for f of them.
--lifelong: symbols that training never asked for come again and again; the model is asked, then
told, and its memory keeps what it was told. --picture draws the state and the tape of a Neural GPU
at work on one example.
"""

import argparse
from dataclasses import fields
from pathlib import Path

from fairseq_plugins.arguments import positive


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what is measured."""
    add = parser.add_argument
    add("path", type=Path, help="checkpoint")
    add("--lengths", type=positive, nargs="*", default=[], help="of examples, a line each")
    add("--rarity", action="store_true", help="rare symbols by their frequency in training")
    add("--lifelong", action="store_true", help="symbols that come again, and are written")
    add("--sequences", type=positive, default=2000, help="for each line of a table")
    add("--symbols", type=positive, default=500, help="for --lifelong")
    add("--showings", type=positive, default=5, help="of each symbol, for --lifelong")
    add("--batch-size", type=positive, default=100, help="sequences at a time")
    add("--picture", type=Path, metavar="PNG", help="draw a Neural GPU at work")
    add("--picture-length", type=positive, default=5, help="of the example that is drawn")
    add("--cpu", action="store_true", help="do not use a GPU")


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Load, measure, draw."""
    from fairseq_plugins.evaluation.algorithmic import Solver, watch
    from fairseq_plugins.evaluation.algorithmic_report import Measures, evaluate
    from fairseq_plugins.plots.algorithmic import states
    from fairseq_plugins.program import device

    solver = Solver(args.path, device(args.cpu))
    if args.picture:  # before the memory learns
        states(*watch(solver, args.picture_length), args.picture)
    measures = Measures(**{field.name: getattr(args, field.name) for field in fields(Measures)})
    report = evaluate(solver, measures)
    return str(report), report.as_json()
