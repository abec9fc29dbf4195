"""Evaluate whether one example is enough: teach words in one sentence, ask for them in others.

    fairseq-memory evaluate lessons my-translator one_look/medical

The set is a folder with sentence pairs to teach, questions, and other sentences that must not
change (`python -m data_prep.one_look` creates one from any parallel text). The translator folder
and its own lessons stay unchanged.
"""

import argparse
from pathlib import Path

from fairseq_plugins.arguments import collected, positive
from fairseq_plugins.cli._translator import add_folder, add_scoring


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_folder(parser)
    add = parser.add_argument
    add("set", type=Path, help="folder with lessons, questions, asked.json and other sentences")
    add("--lessons", type=positive, metavar="N",
        help="use only the first N lessons and the questions about their words")  # fmt: skip
    add("--baselines", action="store_true",
        help="also measure kNN-MT, fine-tuning on the lessons, and a search that is given the "
        "words")  # fmt: skip
    add("--corpus", type=Path, metavar="PREFIX",
        help="also measure after writing sentence pairs of this text to the memory")  # fmt: skip
    add("--written", type=positive, default=10_000, metavar="N",
        help="greatest number of sentence pairs of --corpus to write")  # fmt: skip
    add_scoring(parser)


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Evaluate the translator."""
    from fairseq_plugins.evaluation.lessons import Measuring, measure_folder
    from fairseq_plugins.program import device

    how = collected(args, Measuring)
    report = measure_folder(args.folder, args.set, how, device(args.cpu))
    return str(report), report.as_json()
