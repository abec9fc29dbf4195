"""Training speed of the one-shot classifier of drawings.

    python scripts/benchmark.py omniglot --json omniglot.json

With fairseq's Trainer and a full memory, beside: the same network and loss in a plain loop of
PyTorch without a memory; the same Trainer whose memory is never asked; float32.
"""

import argparse

from fairseq_plugins.arguments import positive
from fairseq_plugins.benchmarks.options import add_options

QUICK = {"classes": 8, "memory_size": 64, "updates": 1, "seconds": 0.0}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what is measured, and how long."""
    add = parser.add_argument
    add("--classes", type=positive, default=60, help="a batch, with two drawings of each")
    add("--memory-size", type=positive, default=8192, help="slots")
    add("--updates", type=positive, default=10, help="a turn")
    add_options(parser, seconds=20)


def run(args: argparse.Namespace) -> str:
    """Measure, tell."""
    from fairseq_plugins.benchmarks.duels.omniglot import measure
    from fairseq_plugins.benchmarks.report import run

    return run(args, measure, QUICK)
