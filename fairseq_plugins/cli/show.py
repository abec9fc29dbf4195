"""Show everything that is known about one lesson.

    fairseq-memory show my-translator 12

Other lessons with the same source and a different target are listed as well.
"""

import argparse
from dataclasses import asdict

from fairseq_plugins.arguments import positive
from fairseq_plugins.cli._translator import add_folder


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_folder(parser)
    parser.add_argument("id", type=positive, help="id of the lesson, see `lessons`")


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Show the lesson."""
    from fairseq_plugins.teaching.about import open_journal
    from fairseq_plugins.teaching.shown import lesson_page

    with open_journal(args.folder) as journal:
        lesson = journal.lesson(args.id)
        others = [other for other in journal.of_source(lesson.source) if other.id != lesson.id]
    data = asdict(lesson) | {"beside": [asdict(other) for other in others]}
    return lesson_page(lesson, others), data
