"""Translate a text and show, for every word, the remembered sentences that support it.

    fairseq-memory explain my-translator "The cat sleeps."

The memory's share is the part of a word's probability that comes from the memory.
"""

import argparse
import sys
from dataclasses import asdict

from fairseq_plugins.cli._translator import add_folder, add_search, translator


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_folder(parser)
    parser.add_argument("text", help="text to translate")
    add_search(parser)


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Translate and explain the text."""
    from fairseq_plugins.teaching.shown import explained_text

    with translator(args) as open_translator:
        found = open_translator.explain(args.text, beam=args.beam, exact=not args.no_exact)
    return explained_text(found, sys.stdout.isatty()), asdict(found)
