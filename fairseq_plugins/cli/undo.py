"""Undo the last change that has not been undone yet.

    fairseq-memory undo my-translator

An import is one change. Run it again to undo the change before.
"""

import argparse
from dataclasses import asdict

from fairseq_plugins.cli._translator import add_folder


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_folder(parser)


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Undo the change."""
    from fairseq_plugins.teaching.about import open_journal
    from fairseq_plugins.teaching.shown import change_line

    with open_journal(args.folder) as journal:
        change = journal.undo()
    return change_line(change), asdict(change)
