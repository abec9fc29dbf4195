"""Arguments that the verbs on translator folders share."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fairseq_plugins.arguments import positive

if TYPE_CHECKING:
    from fairseq_plugins.teaching.lessons import Selection
    from fairseq_plugins.teaching.translator import Translator


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Add the translator folder."""
    parser.add_argument("folder", type=Path, help="translator folder that `pack` made")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the choice of where to compute."""
    parser.add_argument("--cpu", action="store_true", help="do not use a GPU")


def add_search(parser: argparse.ArgumentParser) -> None:
    """Add what decides how texts are translated."""
    add_device(parser)
    parser.add_argument("--beam", type=positive, default=5, help="width of the beam search")
    parser.add_argument(
        "--no-exact",
        action="store_true",
        help="ask network and memory also for sentences that were taught as they are",
    )


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add what chooses lessons."""
    add = parser.add_argument
    add("--search", metavar="TEXT", help="lessons with this text in source, target or note")
    add("--origin", help="lessons from this file, termbase or person")
    add("--author", help="lessons of this author")
    add("--since", metavar="TIME",
        help="lessons changed then or later (UTC): 2030-12-31 or 2030-12-31T12:00:00Z")  # fmt: skip
    add("--before", metavar="TIME", help="lessons changed earlier than this")


def selection(args: argparse.Namespace) -> "Selection":
    """Return the lessons that are meant."""
    from fairseq_plugins.teaching.lessons import Selection

    names = ("search", "origin", "author", "since", "before")
    return Selection(**{name: getattr(args, name) for name in names})


def translator(args: argparse.Namespace) -> "Translator":
    """Open the translator."""
    from fairseq_plugins.program import device
    from fairseq_plugins.teaching.translator import Translator

    return Translator.open(args.folder, device(args.cpu))
