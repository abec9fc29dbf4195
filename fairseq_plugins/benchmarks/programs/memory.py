"""Measure a training step of a full memory, compared with a matrix product and a top-k.

    python scripts/benchmark.py memory
    python scripts/benchmark.py memory --search --neighbors 32 256 --threads 1
    python scripts/benchmark.py memory --search --slots 1000000 --dim 512 --queries 4096

A step queries the memory, computes loss and gradient, and writes the queries: 480 queries of width
128, with 8,192, 65,536 and 262,144 slots. The rival is torch.mm(query, keys.T) in float32 into
preallocated space, and topk(256) of the result. With --search, only the search is measured, and
there are more
rivals: the product without the top-k, in float32 and in bfloat16.
"""

import argparse

from fairseq_plugins.arguments import positive
from fairseq_plugins.benchmarks.options import add_options

QUICK = {"slots": [1024], "queries": 32, "neighbors": [16], "seconds": 0.0}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add(
        "--slots",
        type=positive,
        nargs="+",
        default=[8192, 65536, 262144],
        help="numbers of slots of the memory",
    )
    add("--dim", type=positive, default=128, help="width of keys and queries")
    add("--queries", type=positive, default=480, help="number of queries per step")
    add("--neighbors", type=positive, nargs="+", default=[256], help="numbers of neighbours, k")
    add("--dtype", choices=("auto", "float32", "bfloat16"), default="auto",
        help="number format of the memory's coarse product")  # fmt: skip
    add("--clustered", action="store_true", help="place keys in clusters of 16 instead of anywhere")
    add("--budget-mb", type=positive, default=64, help="similarities held at once, in MiB")
    add(
        "--search",
        action="store_true",
        help="measure the search only; the product alone is also a rival",
    )
    add("--check", action="store_true", help="compare the results with brute force first")
    add_options(parser, seconds=20)


def run(args: argparse.Namespace) -> str:
    """Measure, and return the table."""
    from fairseq_plugins.benchmarks.duels.memory import measure
    from fairseq_plugins.benchmarks.report import run

    return run(args, measure, QUICK)
