"""List what a translator was taught, newest first.

    fairseq-memory lessons my-translator --search cat
    fairseq-memory lessons my-translator --origin terms.tmx --limit 100

Each has a number, its id, by which it is shown, edited and forgotten.
"""

import argparse
from dataclasses import asdict

from fairseq_plugins.arguments import not_negative
from fairseq_plugins.cli._translator import add_folder, add_selection, selection


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say which."""
    add_folder(parser)
    add_selection(parser)
    parser.add_argument("--limit", type=not_negative, default=20, help="how many at most; 0: all")


def run(args: argparse.Namespace) -> tuple[str, object]:
    """List."""
    from fairseq_plugins.teaching.about import open_journal
    from fairseq_plugins.teaching.shown import lesson_line

    which = selection(args)
    with open_journal(args.folder) as journal:
        found = list(journal.lessons(which, args.limit or None))
        total = journal.count(which)
    told = [*map(lesson_line, found), f"{len(found):,} of {total:,} lessons"]
    return "\n".join(told), {"lessons": [asdict(one) for one in found], "total": total}
