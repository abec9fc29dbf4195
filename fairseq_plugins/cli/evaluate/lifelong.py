"""Evaluate a translator's day: each sentence is translated, corrected and taught.

    fairseq-memory evaluate lifelong my-translator manuals

The text is PREFIX.en and PREFIX.de for a translator from English to German. It is also translated
without memory, with fuzzy matches (copies of what the most similar sentence so far was translated
as), and with both. The translator folder and its own lessons stay unchanged.
"""

import argparse
from pathlib import Path

from fairseq_plugins.arguments import collected, positive
from fairseq_plugins.cli._translator import add_folder, add_scoring


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_folder(parser)
    add = parser.add_argument
    add("text", type=Path, metavar="PREFIX", help="of the sentences and their translations")
    add("--sentences", type=positive, metavar="N", help="use only the first N sentences")
    add("--similarity", type=float, default=0.75,
        help="least similarity, from 0 to 1, of a sentence whose translation is copied as a "
        "fuzzy match")  # fmt: skip
    add_scoring(parser)


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Evaluate the translator."""
    from fairseq_plugins.evaluation.lifelong import Day, measure_day
    from fairseq_plugins.program import device

    how = collected(args, Day)
    report = measure_day(args.folder, args.text, how, device(args.cpu))
    return str(report), report.as_json()
