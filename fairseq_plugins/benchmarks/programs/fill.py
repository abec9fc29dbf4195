"""Measure how fast a memory is filled, from the beginning of a corpus to its end.

    python scripts/benchmark.py fill --path checkpoint.pt --data DATA-BIN --search ivf

Empties the memory of a checkpoint and writes all target tokens of a corpus to it, as
`fairseq-memory fill` does. The table has a row for each tenth of the tokens. Nothing is saved.
"""

import argparse
from pathlib import Path

from fairseq_plugins.arguments import collected, positive
from fairseq_plugins.benchmarks.options import add_json


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--path", type=Path, required=True, help="checkpoint of a model with a memory")
    add("--data", type=Path, required=True, help="folder written by fairseq-preprocess")
    add("--split", default="train", help="part of the data to remember")
    add("--slots", type=positive, default=400_000, help="number of slots of the memory")
    add("--search", default="ivf", metavar="NAME", help="search of the memory")
    add("--recall", type=float, default=0.99, help="recall of the search, from 0 to 1")
    add("--max-tokens", type=positive, default=4000,
        help="maximum number of target tokens in a batch")  # fmt: skip
    add("--threads", type=positive, default=1, help="number of threads")
    add_json(parser)


def run(args: argparse.Namespace) -> str:
    """Measure, and return the table."""
    from dataclasses import asdict

    from fairseq_plugins import allocator
    from fairseq_plugins.benchmarks.filling import Work, measure, table
    from fairseq_plugins.benchmarks.report import begin, finish, heading

    about = begin(args)
    allocator.keep_freed_memory()
    marks = measure(collected(args, Work))
    numbers = {"machine": about, "marks": [asdict(mark) for mark in marks]}
    return finish(args, numbers, heading(about), "", *table(marks))
