"""Write lessons to a file for other programs.

    fairseq-memory export my-translator lessons.tmx
    fairseq-memory export my-translator terms.csv --origin terms

Writes .tmx, .tsv, .csv and .jsonl files. `import` reads them as the same lessons.
"""

import argparse
from pathlib import Path

from fairseq_plugins.cli._translator import add_folder, add_selection, selection


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_folder(parser)
    parser.add_argument("file", type=Path, help="file to write; its suffix determines the format")
    add_selection(parser)


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Write the selected lessons."""
    from fairseq_plugins.teaching.about import open_journal, read_about
    from fairseq_plugins.teaching.exchange import write_lessons
    from fairseq_plugins.teaching.text import counted

    about = read_about(args.folder)
    with open_journal(args.folder) as journal:
        lessons = journal.lessons(selection(args), oldest_first=True)
        count = write_lessons(args.file, lessons, (about.source, about.target))
    told = f"Wrote {args.file}: {counted(count, 'lesson')}"
    return told, {"file": str(args.file), "lessons": count}
