"""Teach a translator the contents of a file: a translation memory, a termbase or a table.

    fairseq-memory import my-translator terms.tmx
    fairseq-memory import my-translator glossary.csv --origin glossary

Reads .tmx, .tbx, .xlf, .xliff, .tsv, .csv and .jsonl files in UTF-8 or UTF-16. A file with an error
changes nothing, unless you use --keep-going. An import is one change, which `undo` takes back.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from fairseq_plugins.cli._translator import add_device, add_folder, translator

SHOWN = 10  # reasons


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_folder(parser)
    parser.add_argument("file", type=Path, help="file to read; its suffix determines the format")
    parser.add_argument(
        "--origin", help="origin of the lessons (default: that in the file, or the file's name)"
    )
    parser.add_argument("--keep-going", action="store_true",
                        help="import the readable part of a file with errors")  # fmt: skip
    add_device(parser)


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Import the file and report skipped entries."""
    with translator(args) as open_translator:
        report = open_translator.import_file(args.file, args.origin, args.keep_going)
    told = [str(report)]
    told += [f"  line {line}: {reason}" for line, reason in report.reasons[:SHOWN]]
    if report.skipped > SHOWN:
        told.append(f"  and {report.skipped - SHOWN:,} more")
    return "\n".join(told), asdict(report)
