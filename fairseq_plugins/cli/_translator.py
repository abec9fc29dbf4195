"""Arguments shared by the verbs on translator folders."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fairseq_plugins.arguments import positive

if TYPE_CHECKING:
    from fairseq_plugins.teaching.lessons import Selection
    from fairseq_plugins.teaching.translator import Translator


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Add the argument for the translator folder."""
    parser.add_argument("folder", type=Path, help="translator folder, created by `pack`")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the option for the device."""
    parser.add_argument("--cpu", action="store_true", help="do not use a GPU")


def add_search(parser: argparse.ArgumentParser) -> None:
    """Add the options for translation."""
    add_device(parser)
    parser.add_argument("--beam", type=positive, default=5, help="width of the beam search")
    parser.add_argument(
        "--no-exact",
        action="store_true",
        help="do not look up taught sentences; always use the network and its memory",
    )


def add_scoring(parser: argparse.ArgumentParser) -> None:
    """Add the options for translations that are scored."""
    add = parser.add_argument
    add("--beam", type=positive, default=5, help="width of the beam search")
    add("--tokenize", choices=("none", "13a"), default="13a",
        help="sacrebleu's tokenisation: 13a for raw text, none for tokenised text")  # fmt: skip
    add_device(parser)


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add the options that select lessons."""
    add = parser.add_argument
    add("--search", metavar="TEXT", help="select lessons with this text in source, target or note")
    add("--origin", help="select lessons from this file, termbase or person")
    add("--author", help="select lessons of this author")
    add("--since", metavar="TIME",
        help="select lessons changed at or after this time (UTC): 2030-12-31 or "
        "2030-12-31T12:00:00Z")  # fmt: skip
    add("--before", metavar="TIME", help="select lessons changed before this time")


def selection(args: argparse.Namespace) -> "Selection":
    """Return the selection that the arguments describe."""
    from fairseq_plugins.teaching.lessons import Selection

    names = ("search", "origin", "author", "since", "before")
    return Selection(**{name: getattr(args, name) for name in names})


def translator(args: argparse.Namespace) -> "Translator":
    """Open the translator folder of the arguments."""
    from fairseq_plugins.program import device
    from fairseq_plugins.teaching.translator import Translator

    return Translator.open(args.folder, device(args.cpu))
