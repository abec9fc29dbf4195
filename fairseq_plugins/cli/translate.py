"""Translate a file or standard input, line by line.

    fairseq-memory translate my-translator letter.txt > letter.de.txt
    echo "The cat sleeps." | fairseq-memory translate my-translator --explain

Writes one line for each line, including empty ones. White space at its ends, tags such as <b> and
placeholders such as {0} are preserved. A taught sentence is translated as it was taught.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from fairseq_plugins.cli._translator import add_folder, add_search, translator

if TYPE_CHECKING:
    from fairseq_plugins.teaching.translation import Translation

AT_ONCE = 64  # lines of a file in a batch


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_folder(parser)
    parser.add_argument("file", type=Path, nargs="?", help="text file (default: standard input)")
    add_search(parser)
    parser.add_argument("--explain", action="store_true",
                        help="show below each line what supports its words")  # fmt: skip
    parser.add_argument("--fuzzy", type=float, metavar="SHARE",
                        help="show lessons whose source is this similar, 0 to 1")  # fmt: skip


def run(args: argparse.Namespace) -> tuple[Iterator[str], Iterator[object]]:
    """Translate and yield the results line by line."""
    return _lines(args), map(asdict, _translations(args))


def _lines(args: argparse.Namespace) -> Iterator[str]:
    from fairseq_plugins.teaching.shown import explained_text, near_text

    for found in _translations(args):
        yield explained_text(found, sys.stdout.isatty()) if args.explain else found.text
        yield from map(near_text, found.near)


def _translations(args: argparse.Namespace) -> Iterator["Translation"]:
    from fairseq_plugins.teaching.entries import text_lines

    with translator(args) as open_translator:
        lines = text_lines(args.file)
        at_once = 1 if args.file is None and sys.stdin.isatty() else AT_ONCE
        how = {"beam": args.beam, "exact": not args.no_exact, "fuzzy": args.fuzzy}
        while some := list(islice(lines, at_once)):
            if args.explain:
                yield from (open_translator.explain(line, **how) for line in some)
            else:
                yield from open_translator.translate(some, **how)
