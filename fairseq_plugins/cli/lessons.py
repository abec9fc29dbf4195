"""List the lessons of a translator, newest first.

    fairseq-memory lessons my-translator --search cat
    fairseq-memory lessons my-translator --origin terms.tmx --limit 100

Use the id of a lesson to show, edit or forget it.
"""

import argparse
from dataclasses import asdict

from fairseq_plugins.arguments import not_negative
from fairseq_plugins.cli._translator import add_folder, add_selection, selection


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_folder(parser)
    add_selection(parser)
    parser.add_argument(
        "--limit", type=not_negative, default=20, help="maximum number of lessons; 0 for all"
    )


def run(args: argparse.Namespace) -> tuple[str, object]:
    """List the selected lessons."""
    from fairseq_plugins.teaching.about import open_journal
    from fairseq_plugins.teaching.shown import lesson_line
    from fairseq_plugins.teaching.text import counted

    which = selection(args)
    with open_journal(args.folder) as journal:
        found = list(journal.lessons(which, args.limit or None))
        total = journal.count(which)
    told = [*map(lesson_line, found), f"{len(found):,} of {counted(total, 'lesson')}"]
    return "\n".join(told), {"lessons": [asdict(one) for one in found], "total": total}
