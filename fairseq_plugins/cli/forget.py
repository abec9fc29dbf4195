"""Forget lessons, as if they had never been taught.

    fairseq-memory forget my-translator 12
    fairseq-memory forget my-translator --origin terms.tmx
    fairseq-memory forget my-translator --origin terms.tmx --yes

Without ids, this only shows which lessons are selected; add --yes to forget them. `undo` brings
them back.
"""

import argparse

from fairseq_plugins.arguments import positive
from fairseq_plugins.cli._translator import add_folder, add_selection, selection

SHOWN = 10  # lessons that would be forgotten


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_folder(parser)
    parser.add_argument(
        "ids", type=positive, nargs="*", metavar="ID", help="id of a lesson, see `lessons`"
    )
    add_selection(parser)
    parser.add_argument("--yes", action="store_true", help="forget all selected lessons")


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Forget lessons, or count those that would be forgotten."""
    from fairseq_plugins.teaching.about import open_journal
    from fairseq_plugins.teaching.shown import lesson_line
    from fairseq_plugins.teaching.text import counted

    which = selection(args)
    if bool(args.ids) != which.everything:
        args.error("select lessons: give either ids, or --origin, --search, --author, --since, "
                   "--before")  # fmt: skip
    if args.search == "":
        args.error("--search: every lesson contains an empty text; give another one")
    done = bool(args.ids) or args.yes
    with open_journal(args.folder) as journal:
        found = [] if args.ids else list(journal.lessons(which))
        ids = list(dict.fromkeys(args.ids)) or [lesson.id for lesson in found]
        if done:
            journal.forget(ids)
    lessons = counted(len(ids), "lesson")
    if done:
        return f"{lessons} forgotten", {"lessons": len(ids), "forgotten": True}
    told = [lesson_line(lesson) for lesson in found[:SHOWN]]
    if len(found) > SHOWN:
        told.append(f"{'':8}and {len(found) - SHOWN:,} more")
    told.append(f"{lessons} would be forgotten; add --yes to forget")
    return "\n".join(told), {"lessons": len(ids), "forgotten": False}
