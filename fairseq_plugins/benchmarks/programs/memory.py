"""How long a full memory takes for one training step, beside a matrix product and a top-k alone.

    python scripts/benchmark.py memory
    python scripts/benchmark.py memory --search --neighbors 32 256 --threads 1
    python scripts/benchmark.py memory --search --slots 1000000 --dim 512 --queries 4096

A step asks the memory, computes its loss and gradient, and writes what was asked: for 480 queries
of 128 numbers, at 8,192, 65,536 and 262,144 slots. The rival is torch.mm(query, keys.T) in float32
into space made beforehand, and topk(256) of that. With --search, only asking is measured, and
there are more rivals: the product without the top-k, in float32 and in bfloat16.
"""

import argparse

from fairseq_plugins.arguments import positive
from fairseq_plugins.benchmarks.options import add_options

QUICK = {"slots": [1024], "queries": 32, "neighbors": [16], "seconds": 0.0}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what is measured, and how long."""
    add = parser.add_argument
    add("--slots", type=positive, nargs="+", default=[8192, 65536, 262144], help="memory sizes")
    add("--dim", type=positive, default=128, help="width of keys and queries")
    add("--queries", type=positive, default=480, help="queries a step")
    add("--neighbors", type=positive, nargs="+", default=[256], help="one or more k")
    add("--dtype", choices=("auto", "float32", "bfloat16"), default="auto",
        help="number format of the memory's coarse product")  # fmt: skip
    add("--clustered", action="store_true", help="keys in clusters of 16 instead of anywhere")
    add("--budget-mb", type=positive, default=64, help="similarities that are held at once")
    add("--search", action="store_true", help="only ask; the product alone is a rival, too")
    add("--check", action="store_true", help="first compare the results with brute force")
    add_options(parser, seconds=20)


def run(args: argparse.Namespace) -> str:
    """Measure, tell."""
    from fairseq_plugins.benchmarks.duels.memory import measure
    from fairseq_plugins.benchmarks.report import run

    return run(args, measure, QUICK)
