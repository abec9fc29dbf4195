"""Forget lessons, as if they had never been taught.

    fairseq-memory forget my-translator 12
    fairseq-memory forget my-translator --origin terms.tmx
    fairseq-memory forget my-translator --origin terms.tmx --yes

Without ids, this only shows how many lessons are selected; add --yes to forget them. `undo` brings
them back.
"""

import argparse

from fairseq_plugins.arguments import positive
from fairseq_plugins.cli._translator import add_folder, add_selection, selection


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

    which = selection(args)
    if bool(args.ids) != which.everything:
        args.error("select lessons: give either ids, or --origin, --search, --author, --since, "
                   "--before")  # fmt: skip
    if args.search == "":
        args.error("--search: every lesson contains an empty text; give another one")
    done = bool(args.ids) or args.yes
    with open_journal(args.folder) as journal:
        ids = args.ids or [lesson.id for lesson in journal.lessons(which)]
        if done:
            journal.forget(ids)
    lessons = "1 lesson" if len(ids) == 1 else f"{len(ids):,} lessons"
    told = (
        f"{lessons} forgotten" if done
        else f"{lessons} would be forgotten; add --yes to forget"
    )  # fmt: skip
    return told, {"lessons": len(ids), "forgotten": done}
