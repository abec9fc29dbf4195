"""Speed of translation with a memory beside the same model without.

    python scripts/benchmark.py decode --json decode.json

gnmt_memory with a full memory, beside gnmt of the same sizes and beside itself with an empty
memory: beam search with 5 hypotheses, 128 sentences at a time, as fairseq-generate does it, and
memories of 8,192 and of 65,536 slots. The models are not trained: the memory holds what they would
write while reading a generated corpus, and all translations are made equally long.
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
    """Say what is measured, and how long."""
    add = parser.add_argument
    add("--slots", type=positive, nargs="+", default=[8192, 65536], help="memory sizes")
    add("--units", type=positive, default=256, help="width of layers and embeddings")
    add("--layers", type=positive, default=2, help="of encoder and of decoder")
    add("--vocabulary", type=positive, default=8000, help="shared by both languages")
    add("--beam", type=positive, default=5, help="hypotheses a sentence")
    add("--batch-size", type=positive, default=128, help="sentences at a time")
    add("--length", type=positive, default=25, help="words of every translation")
    add("--sentences", type=positive, default=5000, help="of the generated corpus")
    add_options(parser, seconds=30)


def run(args: argparse.Namespace) -> str:
    """Measure, tell."""
    from fairseq_plugins.benchmarks.duels.decode import measure
    from fairseq_plugins.benchmarks.report import run

    return run(args, measure, QUICK)
