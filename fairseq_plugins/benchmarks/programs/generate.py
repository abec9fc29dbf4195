"""Measure how fast a translator with a large memory translates, and how well.

    python scripts/benchmark.py generate --path filled.pt --data DATA-BIN --threads 2

The same translator with its memory emptied, with exact search, and with inverted lists, each with
and without --memory-sure, take turns at the same sentences, as in fairseq-generate. Speed is
relative to the emptied memory, and BLEU is of the sentences as they are tokenised.
"""

import argparse
from pathlib import Path

from fairseq_plugins.arguments import collected, positive
from fairseq_plugins.benchmarks.options import add_json


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--path", type=Path, required=True, help="checkpoint of a translator with a memory")
    add("--data", type=Path, required=True, help="folder written by fairseq-preprocess")
    add("--subset", default="test", help="part of the data to translate")
    add("--sentences", type=positive, default=1000, help="number of sentences to translate")
    add("--batch-size", type=positive, default=1, help="number of sentences translated at once")
    add("--turn", type=positive, default=20, help="number of batches of a turn")
    add("--beam", type=positive, default=5, help="hypotheses per sentence")
    add("--recall", type=float, default=0.95, help="recall of inverted lists, from 0 to 1")
    add("--sure", type=float, default=0.9,
        help="probability from which the memory is not asked, from 0 to 1")  # fmt: skip
    add("--remove-bpe", default="sentencepiece",
        help="subword segmentation to undo before scoring")  # fmt: skip
    add("--threads", type=positive, default=1, help="number of threads")
    add_json(parser)


def run(args: argparse.Namespace) -> str:
    """Measure, and return the table."""
    from dataclasses import asdict

    from fairseq_plugins import allocator
    from fairseq_plugins.benchmarks.generation import Work, measure, table, ways
    from fairseq_plugins.benchmarks.report import begin, finish, heading

    about = begin(args)
    allocator.keep_freed_memory()
    work = collected(args, Work)
    results = measure(work, ways(args.recall, args.sure))
    numbers = {"machine": about, "results": [asdict(one) for one in results]}
    return finish(args, numbers, heading(about), "", *table(results))
