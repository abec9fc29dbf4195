"""List every change ever made to the lessons, newest first.

    fairseq-memory history my-translator --limit 50

Changes that were taken back are listed too, with a mark.
"""

import argparse
from dataclasses import asdict

from fairseq_plugins.arguments import not_negative
from fairseq_plugins.cli._translator import add_folder


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say how many."""
    add_folder(parser)
    parser.add_argument("--limit", type=not_negative, default=20, help="how many at most; 0: all")


def run(args: argparse.Namespace) -> tuple[str, object]:
    """List."""
    from fairseq_plugins.teaching.about import open_journal
    from fairseq_plugins.teaching.shown import change_line

    with open_journal(args.folder) as journal:
        found = list(journal.history(args.limit or None))
    return "\n".join(map(change_line, found)) or "no change yet", [asdict(one) for one in found]
