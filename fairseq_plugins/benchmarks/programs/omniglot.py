"""Measure the training speed of the one-shot classifier of drawings.

    python scripts/benchmark.py omniglot --json omniglot.json

Compares fairseq's Trainer with a full memory to the same network and loss in a plain PyTorch loop
without a memory, to the same Trainer with a memory that is not queried, and to float32.
"""

import argparse

from fairseq_plugins.arguments import positive
from fairseq_plugins.benchmarks.options import add_options

QUICK = {"classes": 8, "memory_size": 64, "updates": 1, "seconds": 0.0}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add(
        "--classes",
        type=positive,
        default=60,
        help="number of classes in a batch, with two drawings of each",
    )
    add("--memory-size", type=positive, default=8192, help="slots")
    add("--updates", type=positive, default=10, help="a turn")
    add_options(parser, seconds=20)


def run(args: argparse.Namespace) -> str:
    """Measure, and return the table."""
    from fairseq_plugins.benchmarks.duels.omniglot import measure
    from fairseq_plugins.benchmarks.report import run

    return run(args, measure, QUICK)
