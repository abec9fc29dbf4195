"""Check all lessons: list those that do not take effect or contradict each other.

    fairseq-memory check my-translator

A lesson takes effect if the network and its memory produce its target. The taught sentence itself
is translated as it was taught in any case.
"""

import argparse
from dataclasses import asdict

from fairseq_plugins.cli._translator import add_device, add_folder, translator


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_folder(parser)
    add_device(parser)


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Check all lessons and list the findings."""
    from fairseq_plugins.teaching.shown import lesson_line

    with translator(args) as open_translator:
        found = open_translator.check()
    told = []
    for lesson in found.lost:
        told.append(f"{lesson_line(lesson)}\n{'':8}does not take effect: {lesson.now}")
    for newer, older in found.contradictions:
        told.append(f"{lesson_line(newer)}\n{'':8}contradicts lesson {older.id}: {older.target}")
    return "\n".join([*told, str(found)]), asdict(found)
