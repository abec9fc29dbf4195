"""Measure the speed of translation with a memory and without.

    python scripts/benchmark.py decode --json decode.json

Compares gnmt_memory with a full memory to gnmt of the same size, and to itself with an empty
memory: beam search with 5 hypotheses, 128 sentences at a time, as in fairseq-generate, and memories
of 8,192 and 65,536 slots. The models are not trained: the memory contains what they would write
while reading a generated corpus, and all translations have the same length.
"""

import argparse

from fairseq_plugins.arguments import positive
from fairseq_plugins.benchmarks.options import add_options

QUICK = {
    "slots": [64],
    "units": 16,
    "vocabulary": 200,
    "sentences": 200,
    "batch_size": 16,
    "length": 5,
    "beam": 2,
    "seconds": 0.0,
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add(
        "--slots",
        type=positive,
        nargs="+",
        default=[8192, 65536],
        help="numbers of slots of the memory",
    )
    add("--units", type=positive, default=256, help="width of layers and embeddings")
    add("--layers", type=positive, default=2, help="number of layers of encoder and decoder")
    add(
        "--vocabulary",
        type=positive,
        default=8000,
        help="size of the vocabulary, shared by both languages",
    )
    add("--beam", type=positive, default=5, help="hypotheses per sentence")
    add("--batch-size", type=positive, default=128, help="number of sentences in a batch")
    add("--length", type=positive, default=25, help="number of words of every translation")
    add(
        "--sentences",
        type=positive,
        default=5000,
        help="number of sentences of the generated corpus",
    )
    add_options(parser, seconds=30)


def run(args: argparse.Namespace) -> str:
    """Measure, and return the table."""
    from fairseq_plugins.benchmarks.duels.decode import measure
    from fairseq_plugins.benchmarks.report import run

    return run(args, measure, QUICK)
