"""Measure what a model has learned of an algorithm.

    python scripts/evaluate_algorithmic.py addition/checkpoint_best.pt --lengths 20 40 60
    python scripts/evaluate_algorithmic.py rare/filled.pt --rarity --lifelong

All numbers are per cent. --rarity: for rare symbols, by how often training asked for f of them.
--lifelong: symbols that training never asked for come again and again; the model is asked, then
told, and its memory keeps what it was told. --picture draws the state and the tape of a Neural GPU
at work on one example.
"""

import argparse
import logging
from pathlib import Path

import torch

from fairseq_plugins.evaluation.algorithmic import (
    Solver,
    by_length,
    by_rarity,
    lifelong,
    table,
    watch,
)
from fairseq_plugins.plots import algorithmic as algorithmic_plots
from fairseq_plugins.program import positive, start, write_json

logger = logging.getLogger("evaluate_algorithmic")
TEST_TEXT = 1


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("path", type=Path, help="checkpoint")
    add("--lengths", type=positive, nargs="*", default=[], help="of examples")
    add("--rarity", action="store_true", help="rare symbols by their frequency in training")
    add("--lifelong", action="store_true", help="symbols that come again, and are written")
    add("--sequences", type=positive, default=2000, help="for each line of a table (2000)")
    add("--symbols", type=positive, default=500, help="for --lifelong (500)")
    add("--showings", type=positive, default=5, help="of each, for --lifelong (5)")
    add("--batch-size", type=positive, default=100, help="sequences at a time (100)")
    add("--json", type=Path, metavar="FILE", help="write all numbers there, too")
    add("--picture", type=Path, metavar="PNG", help="draw a Neural GPU at work")
    add("--picture-length", type=positive, default=5, help="of the example that is drawn (5)")
    add("--cpu", action="store_true", help="do not use a GPU")
    return parser.parse_args()


def main() -> None:
    """Load, measure, tell."""
    args = parse()
    start()
    device = "cuda" if torch.cuda.is_available() and not args.cpu else "cpu"
    solver = Solver(args.path, device)
    length = solver.task.cfg.max_length
    result: dict = {}
    if args.lengths:
        lengths = by_length(solver, args.lengths, args.sequences, args.batch_size)
        print(table(lengths, "length"))
        result["lengths"] = {key: share.as_dict() for key, share in lengths.items()}
    if args.rarity:
        rarity = by_rarity(solver, TEST_TEXT, args.sequences, length, args.batch_size)
        print(table(rarity, "seen"))
        result["rarity"] = {key: share.as_dict() for key, share in rarity.items()}
    if args.picture:
        algorithmic_plots.states(*watch(solver, args.picture_length), args.picture)
    if args.lifelong:
        result["lifelong"] = lifelong(solver, args.symbols, args.showings, length)
        print("showing   right")
        for k, share in result["lifelong"].items():
            print(f"{k:<10}{share:.2f}")
    if args.json:
        write_json(args.json, result)


if __name__ == "__main__":
    main()
