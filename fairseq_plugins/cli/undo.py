"""Take back the last change that was not taken back yet, whatever it was.

    fairseq-memory undo my-translator

An import is one change. Called again, it takes back the change before.
"""

import argparse
from dataclasses import asdict

from fairseq_plugins.cli._translator import add_folder


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say where."""
    add_folder(parser)


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Undo."""
    from fairseq_plugins.teaching.about import open_journal
    from fairseq_plugins.teaching.shown import change_line

    with open_journal(args.folder) as journal:
        change = journal.undo()
    return change_line(change), asdict(change)
