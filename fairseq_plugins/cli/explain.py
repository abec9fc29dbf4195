"""Translate a text and show, for every word, the remembered sentences that support it.

    fairseq-memory explain my-translator "The cat sleeps."
    fairseq-memory explain my-translator "The cat sleeps." --html why.html

The memory's share is the part of a word's probability that comes from the memory.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from fairseq_plugins.cli._translator import add_folder, add_search, translator


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_folder(parser)
    parser.add_argument("text", help="text to translate")
    parser.add_argument("--html", type=Path, metavar="FILE", help="page to write")
    add_search(parser)


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Translate and explain the text."""
    from fairseq_plugins.atomic import write_text
    from fairseq_plugins.teaching.explained_page import explained_page
    from fairseq_plugins.teaching.shown import explained_text

    with translator(args) as open_translator:
        found = open_translator.explain(args.text, beam=args.beam, exact=not args.no_exact)
    if args.html is not None:
        write_text(args.html, explained_page(found, open_translator.languages))
        return f"{found.text}\nWrote {args.html}", asdict(found)
    return explained_text(found, sys.stdout.isatty()), asdict(found)
