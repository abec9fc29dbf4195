"""Measure what people wait for: teaching, opening, listing and explaining, with many lessons.

    python scripts/benchmark.py teaching --translator my-translator --slots 500000

Works on a copy of a translator folder, whose memory is filled up to --slots; without --translator,
on an untrained network. Lessons are random words, or those of a file (--pairs). Prints the median
and the slowest of each, beside the target where there is one.
"""

import argparse
from pathlib import Path

from fairseq_plugins.arguments import positive
from fairseq_plugins.benchmarks.options import add_json, add_translator

QUICK = {"slots": 2000, "lessons": 20, "singly": 2, "repeats": 2, "units": 16, "vocabulary": 200}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add_translator(parser, slots=500_000)
    add("--pairs", type=Path, metavar="FILE",
        help="file of lessons to teach, as for `import` (sentences of random words)")  # fmt: skip
    add("--lessons", type=positive, default=10_000, help="lessons to import from a file")
    add("--singly", type=positive, default=10, help="lessons to teach one by one")
    add("--repeats", type=positive, default=10, help="repetitions of everything else")
    add("--threads", type=positive, help="number of processor cores (all)")
    add_json(parser)


def run(args: argparse.Namespace) -> str:
    """Measure, and return the table."""
    import tempfile

    from fairseq_plugins.benchmarks.pupils import make_folder
    from fairseq_plugins.benchmarks.report import begin, finish
    from fairseq_plugins.benchmarks.teaching import Load, as_data, measure, table

    about = begin(args, QUICK)
    load = Load(args.lessons, args.singly, args.repeats)
    with tempfile.TemporaryDirectory() as place:
        sizes = args.slots, args.units, args.vocabulary
        folder = make_folder(Path(place), args.translator, *sizes)
        found = list(measure(folder, load, args.pairs))
    numbers = {"machine": about} | as_data(load, found)
    where = f"{about['processor']}, {about['threads']} threads, load {about['load_before']}"
    return finish(args, numbers, f"{where}, {args.slots:,} slots", "", *table(found))
