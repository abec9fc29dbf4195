"""Teach a translator. It uses the lesson from the next sentence on.

    fairseq-memory teach my-translator "The cat sleeps." "Die Katze schläft."
    fairseq-memory teach my-translator --term "cat=Katze" --term "dog=Hund" --origin animals
    fairseq-memory teach my-translator < pairs.tsv

Shows how each source is now translated, and warns if a lesson does not take effect or contradicts
an older one. To teach the contents of a file, use `import`.
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from fairseq_plugins.cli._translator import add_device, add_folder, translator

if TYPE_CHECKING:
    from fairseq_plugins.teaching.lessons import Lesson


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_folder(parser)
    add = parser.add_argument
    add("source", nargs="?",
        help="sentence (default, without --term: lines of standard input, with a tab between "
        "source and target)")  # fmt: skip
    add("target", nargs="?", help="translation of the sentence")
    add("--term", action="append", default=[], metavar="SOURCE=TARGET",
        help="term and its translation; can be repeated")  # fmt: skip
    add("--origin", default="", help="where the lessons come from")
    add("--note", default="", help="note to keep with the lessons")
    add("--author", default="", help="name of the teacher")
    add_device(parser)


def run(args: argparse.Namespace) -> tuple[Iterator[str], Iterator[object]]:
    """Teach and yield the lessons one by one."""
    if (args.source is None) != (args.target is None):
        args.error("a source needs a target: give both or neither; `import` teaches a file")
    for term in args.term:
        if "=" not in term:
            args.error(f"--term {term!r} has no '=': write SOURCE=TARGET")
    return _lines(args), map(asdict, _taught(args))


def _lines(args: argparse.Namespace) -> Iterator[str]:
    from fairseq_plugins.teaching.shown import taught_text

    return map(taught_text, _taught(args))


def _taught(args: argparse.Namespace) -> Iterator["Lesson"]:
    with translator(args) as open_translator:
        for source, target in _pairs(args):
            yield open_translator.teach(source, target, args.origin, args.note, args.author)


def _pairs(args: argparse.Namespace) -> Iterator[tuple[str, str]]:
    if args.source is not None:
        yield args.source, args.target
    for term in args.term:
        source, _, target = term.partition("=")
        yield source, target
    if args.source is None and not args.term:
        from fairseq_plugins.errors import InputError
        from fairseq_plugins.teaching.entries import text_lines

        for number, line in enumerate(text_lines(None), 1):
            cells = line.split("\t")
            if len(cells) != 2:
                raise InputError(
                    f"standard input, line {number}: needs one tab, between source and target; "
                    "for a table with more columns use `import`"
                )
            yield cells[0], cells[1]
