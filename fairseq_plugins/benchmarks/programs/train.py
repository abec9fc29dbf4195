"""Measure training speed: gnmt against fairseq's built-in lstm, gnmt_memory against gnmt.

    python scripts/benchmark.py train --json train.json

All have 256 units, 1 + 1 layers and one vocabulary of 8,000 for both languages. They train with
fairseq's own Trainer on the same batches of a generated corpus, with label-smoothed cross-entropy,
gradient clipping and Adam. The lstm is fairseq's default, with a unidirectional encoder (gnmt's is
bidirectional). Our task's setting of the memory allocator also speeds up the lstm in its process,
so the lstm is measured with it and, in a separate process, without.
"""

import argparse

from fairseq_plugins.arguments import positive
from fairseq_plugins.benchmarks.options import add_options

COMPARISONS = (
    "float32", "float32-apart", "float32-one-loss", "bfloat16", "bfloat16-float32-apart",
    "memory-float32", "memory-bfloat16",
)  # fmt: skip
QUICK = {
    "units": 16,
    "vocabulary": 200,
    "max_tokens": 200,
    "sentences": 100,
    "memory_size": 64,
    "memory_key_dim": 8,
    "updates": 1,
    "warm_up": 1,
    "memory_warm_up": 1,
    "seconds": 0.0,
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--only", nargs="+", choices=COMPARISONS, default=COMPARISONS, metavar="COMPARISON",
        help=f"comparisons to make, of {', '.join(COMPARISONS)} (all)")  # fmt: skip
    add("--rival-allocator", choices=("both", "kept", "default"), default="both",
        help="kept: only the lstm in this process, where freed memory is kept; default: only the "
        "lstm in separate processes, with the system's allocator")  # fmt: skip
    add("--rival-bidirectional", action="store_true", help="give the lstm an encoder like gnmt's")
    add("--units", type=positive, default=256, help="width of layers and embeddings")
    add("--layers", type=positive, default=1, help="number of layers of encoder and decoder")
    add(
        "--vocabulary",
        type=positive,
        default=8000,
        help="size of the vocabulary, shared by both languages",
    )
    add("--max-tokens", type=positive, default=4000, help="a batch")
    add("--memory-size", type=positive, default=8192, help="slots")
    add("--memory-key-dim", type=positive, default=128, help="width of keys")
    add("--updates", type=positive, default=3, help="a turn")
    add("--warm-up", type=positive, default=10, help="updates before the measurement")
    add("--memory-warm-up", type=positive, default=300,
        help="updates before the measurement of models with a memory: an untrained one asks the "
        "same query for every word, and its search is slower")  # fmt: skip
    add(
        "--sentences",
        type=positive,
        default=20000,
        help="number of sentences of the generated corpus",
    )
    add_options(parser, seconds=60)


def run(args: argparse.Namespace) -> str:
    """Measure, and return the table."""
    from fairseq_plugins.benchmarks.duels.train import measure
    from fairseq_plugins.benchmarks.report import run

    return run(args, measure, QUICK)
