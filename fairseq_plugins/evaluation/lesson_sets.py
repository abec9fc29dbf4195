"""Sets that measure whether one example of a word is enough: taught once, asked for elsewhere.

A set is a folder, made by ``python -m data_prep.one_look`` or by hand, with a line for each
sentence (``en`` and ``de`` stand for the languages of the translator):

    lessons.{en,de}      sentence pairs to teach
    questions.{en,de}    sentences to translate, and their references
    asked.json           list of {"word", "source_word", "lesson", "question"}: the word expected
                         in the translation of a question, the source word that it translates,
                         and the numbers of the lesson and the question, from 0
    other.{en,de}        sentence pairs with none of the words, to measure damage
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairseq_plugins.errors import InputError
from fairseq_plugins.evaluation.hypotheses import read_lines

WORD = re.compile(r"\w+")
FIELDS = {"word": str, "source_word": str, "lesson": int, "question": int}


@dataclass(frozen=True)
class Asked:
    """A word that the translation of a question is expected to contain.

    Attributes:
        word: of the target language, in any case.
        source_word: that it translates.
        lesson: number of the sentence pair that taught it, from 0.
        question: number of the question, from 0.
    """

    word: str
    source_word: str
    lesson: int
    question: int


@dataclass(frozen=True)
class Text:
    """Sentences and their translations."""

    source: list[str]
    target: list[str]

    def __len__(self) -> int:
        """Count the pairs."""
        return len(self.source)

    def pairs(self) -> list[tuple[str, str]]:
        """Return the sentence pairs."""
        return list(zip(self.source, self.target, strict=True))

    def __getitem__(self, some: slice) -> "Text":
        """Return some of the pairs."""
        return Text(self.source[some], self.target[some])


@dataclass(frozen=True)
class LessonSet:
    """Lessons, questions, and sentences that must not change."""

    lessons: Text
    questions: Text
    other: Text
    asked: list[Asked]

    def first(self, lessons: int) -> "LessonSet":
        """Return the set with its first lessons only, and the questions that ask for them."""
        asked = [one for one in self.asked if one.lesson < lessons]
        numbers = {old: new for new, old in enumerate(sorted({one.question for one in asked}))}
        questions = Text(
            [self.questions.source[old] for old in numbers],
            [self.questions.target[old] for old in numbers],
        )
        asked = [
            Asked(one.word, one.source_word, one.lesson, numbers[one.question]) for one in asked
        ]
        return LessonSet(self.lessons[:lessons], questions, self.other, asked)


def words_of(text: str) -> list[str]:
    """Return the runs of letters, digits and underscores of a text, in lower case."""
    return WORD.findall(text.lower())


def read_text(prefix: Path, languages: Sequence[str]) -> Text:
    """Read the two files of parallel text, `PREFIX.en` and `PREFIX.de`.

    Raises:
        InputError: if they are empty or differ in length, or a line is not UTF-8.
        OSError: if one cannot be opened.
    """
    paths = [prefix.with_name(f"{prefix.name}.{language}") for language in languages]
    source, target = (read_lines(path) for path in paths)
    if len(source) != len(target):
        raise InputError(
            f"{paths[0]} has {len(source)} lines, {paths[1]} has {len(target)}; line N of one must "
            "translate line N of the other"
        )
    if source == [""] and target == [""]:
        raise InputError(f"{paths[0]}: is empty; write a sentence on each line")
    return Text(source, target)


def read_lesson_set(folder: Path, languages: Sequence[str]) -> LessonSet:
    """Read a set.

    Args:
        folder: of the set.
        languages: codes of source and target, the endings of its files.

    Raises:
        InputError: if a file is damaged, or does not fit the others.
        OSError: if a file is missing.
    """
    lessons, questions, other = (
        read_text(folder / name, languages) for name in ("lessons", "questions", "other")
    )
    path = folder / "asked.json"
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:  # also of what is not UTF-8
        raise InputError(f"{path}: is not JSON ({error})") from error
    if not isinstance(found, list) or not found:
        raise InputError(f"{path}: must be a list of questions with at least one entry")
    return LessonSet(
        lessons, questions, other,
        [_asked(path, number, entry, lessons, questions) for number, entry in enumerate(found)],
    )  # fmt: skip


def _asked(path: Path, number: int, entry: Any, lessons: Text, questions: Text) -> Asked:
    where = f"{path}, entry {number}"
    if not isinstance(entry, dict) or any(type(entry.get(n)) is not t for n, t in FIELDS.items()):
        raise InputError(
            f"{where}: must have the texts word and source_word, and the whole numbers lesson and "
            "question"
        )
    for name, text in (("lesson", lessons), ("question", questions)):
        if not 0 <= entry[name] < len(text):
            raise InputError(
                f"{where}: there is no {name} {entry[name]}; they are numbered from 0 to "
                f"{len(text) - 1}"
            )
    if not words_of(entry["word"]):
        raise InputError(f"{where}: {entry['word']!r} has neither letters nor digits")
    return Asked(**{name: entry[name] for name in FIELDS})
