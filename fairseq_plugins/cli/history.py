"""List every change that was ever made to the lessons, newest first.

    fairseq-memory history my-translator --limit 50

Changes that were undone are listed as well, with a mark.
"""

import argparse
from dataclasses import asdict

from fairseq_plugins.arguments import not_negative
from fairseq_plugins.cli._translator import add_folder


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_folder(parser)
    parser.add_argument(
        "--limit", type=not_negative, default=20, help="maximum number of changes; 0 for all"
    )


def run(args: argparse.Namespace) -> tuple[str, object]:
    """List the changes."""
    from fairseq_plugins.teaching.about import open_journal
    from fairseq_plugins.teaching.shown import change_line

    with open_journal(args.folder) as journal:
        found = list(journal.history(args.limit or None))
    return "\n".join(map(change_line, found)) or "no changes yet", [asdict(one) for one in found]
