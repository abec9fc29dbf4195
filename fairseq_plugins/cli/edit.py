"""Change a lesson. It keeps its id.

    fairseq-memory edit my-translator 12 --target "Das Kätzchen schläft."

Texts without an option stay as they are.
"""

import argparse
from dataclasses import asdict

from fairseq_plugins.arguments import positive
from fairseq_plugins.cli._translator import add_device, add_folder, translator

TEXTS = ("source", "target", "origin", "note", "author")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_folder(parser)
    parser.add_argument("id", type=positive, help="id of the lesson, see `lessons`")
    for name in TEXTS:
        parser.add_argument(f"--{name}", help=f"new {name} of the lesson")
    add_device(parser)


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Change the lesson."""
    changes = {name: text for name in TEXTS if (text := getattr(args, name)) is not None}
    if not changes:
        args.error("nothing to change: give a new --source, --target, --origin, --note or --author")
    from fairseq_plugins.teaching.shown import taught_text

    with translator(args) as open_translator:
        lesson = open_translator.edit(args.id, **changes)
    return taught_text(lesson), asdict(lesson)
