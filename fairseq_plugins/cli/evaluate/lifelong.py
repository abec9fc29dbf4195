"""Evaluate a translator's day: each sentence is translated, corrected and taught.

    fairseq-memory evaluate lifelong my-translator manuals

The text is PREFIX.en and PREFIX.de for a translator from English to German. It is also translated
without memory, with fuzzy matches (copies of what the most similar sentence so far was translated
as), and with both. The translator folder and its own lessons stay unchanged.
"""

import argparse
from dataclasses import fields
from pathlib import Path

from fairseq_plugins.arguments import positive
from fairseq_plugins.cli._translator import add_device, add_folder


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_folder(parser)
    add = parser.add_argument
    add("text", type=Path, metavar="PREFIX", help="of the sentences and their translations")
    add("--sentences", type=positive, metavar="N", help="use only the first N sentences")
    add("--similarity", type=float, default=0.75,
        help="least similarity, from 0 to 1, of a sentence whose translation is copied as a "
        "fuzzy match")  # fmt: skip
    add("--beam", type=positive, default=5, help="width of the beam search")
    add("--tokenize", choices=("none", "13a"), default="13a",
        help="sacrebleu's tokenisation: 13a for raw text, none for tokenised text")  # fmt: skip
    add_device(parser)


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Evaluate the translator."""
    from fairseq_plugins.evaluation.lifelong import Day, measure_day
    from fairseq_plugins.program import device

    how = Day(**{field.name: getattr(args, field.name) for field in fields(Day)})
    report = measure_day(args.folder, args.text, how, device(args.cpu))
    return str(report), report.as_json()
