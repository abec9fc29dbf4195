"""Measure the training speed of the Neural GPU.

    python scripts/benchmark.py neural-gpu --json neural_gpu.json

Compares its convolutional gated recurrent units with their convolutions alone, forward and
backward, and training on rare symbols with a full memory to training without a memory.
"""

import argparse

from fairseq_plugins.arguments import positive
from fairseq_plugins.benchmarks.options import add_options

QUICK = {
    "batch_size": 2,
    "columns": 4,
    "maps": 8,
    "updates": 1,
    "seconds": 0.0,
    "memory_size": 64,
    "memory_warm_up": 1,
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--batch-size", type=positive, default=32, help="sequences")
    add("--columns", type=positive, default=42, help="n, the number of columns of the state")
    add("--maps", type=positive, default=24, help="m")
    add("--memory-size", type=positive, default=8192, help="slots")
    add("--memory-warm-up", type=positive, default=200,
        help="updates of the training with a memory before it is measured: an untrained network "
             "asks the same query for every symbol")  # fmt: skip
    add("--updates", type=positive, default=5, help="updates of a training per turn")
    add_options(parser, seconds=20)


def run(args: argparse.Namespace) -> str:
    """Measure, and return the table."""
    from fairseq_plugins.benchmarks.duels.neural_gpu import measure
    from fairseq_plugins.benchmarks.report import run

    return run(args, measure, QUICK)
