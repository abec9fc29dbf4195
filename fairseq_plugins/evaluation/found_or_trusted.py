"""Shows why one example fails: whether what was taught is found, and whether it is trusted.

Every question is decoded with its reference. At the pieces of the word that is asked for, this
counts how often the memory finds a taught slot with the correct piece, and where the probability
of the correct piece comes from.
"""

import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from statistics import fmean

import torch
from torch import Tensor

from fairseq_plugins.evaluation.lesson_sets import Asked, LessonSet
from fairseq_plugins.evaluation.pupils import Alone
from fairseq_plugins.progress import Progress
from fairseq_plugins.teaching.text import Pieces, normalise

HEADINGS = {
    "among": "taught slot with the correct piece among the neighbours (%)",
    "nearest": "such a slot is the nearest (%)",
    "lessons": "probability from taught slots",
    "terms": "probability from taught terms",
    "network": "probability from the network",
    "probability": "probability of the correct piece",
}


@dataclass(frozen=True)
class AtAPiece:
    """Evidence for the correct piece at one position, or on average; see ``HEADINGS``."""

    among: float
    nearest: float
    lessons: float
    terms: float
    network: float
    probability: float


@dataclass(frozen=True)
class FoundOrTrusted:
    """Averages over the words that are asked for.

    Attributes:
        words: words that were found in the references.
        first: at the first piece of each.
        later: at all others; None if all words are single pieces.
    """

    words: int
    first: AtAPiece
    later: AtAPiece | None

    def __str__(self) -> str:
        width = max(map(len, HEADINGS.values()))
        lines = [f"{'':{width}}  first piece  later pieces"]
        for name, heading in HEADINGS.items():
            scale, digits = (100, 1) if name in ("among", "nearest") else (1, 3)
            cells = [
                "-" if one is None else f"{scale * getattr(one, name):.{digits}f}"
                for one in (self.first, self.later)
            ]
            lines.append(f"{heading:{width}}  {cells[0]:>11}  {cells[1]:>12}")
        return "\n".join(lines)


def found_or_trusted(pupil: Alone, lesson_set: LessonSet) -> FoundOrTrusted | None:
    """Decode the references of all questions, and average the evidence for the words asked for.

    Args:
        pupil: its network was taught.
        lesson_set: lessons and questions.

    Returns:
        The averages; None if no reference contains a word that is asked for.
    """
    first: list[AtAPiece] = []
    later: list[AtAPiece] = []
    by_question: dict[int, list[Asked]] = {}
    for one in lesson_set.asked:
        by_question.setdefault(one.question, []).append(one)
    with Progress(total=len(by_question), desc="looking up", unit=" questions") as bar:
        for question, asked in by_question.items():
            pair = lesson_set.questions.source[question], lesson_set.questions.target[question]
            places = read_places(pupil, pair)
            pieces = pupil.target.encode(normalise(pair[1])).pieces
            for one in asked:
                here = [places[number] for number in find_word(pieces, one.word)]
                first, later = first + here[:1], later + here[1:]
            bar.update(1)
    return (
        FoundOrTrusted(len(first), mean(first), mean(later) if later else None) if first else None
    )


def read_places(pupil: Alone, pair: tuple[str, str]) -> list[AtAPiece]:
    """Return the evidence for each token of a reference."""
    source, target = pupil.tokens([pair])[0]
    reading, memory = pupil.network.read(source, target), pupil.network.memory
    slots = reading.slots.clamp(min=0)
    right = (memory.values.cpu()[slots] == target.unsqueeze(1)) & memory.pinned.cpu()[slots]
    right &= reading.slots >= 0  # [T, k]
    lessons = (reading.parts * right).sum(1)
    rest = reading.network + reading.parts.sum(1) - lessons
    columns: list[Tensor] = [
        right.any(1), right[:, 0], lessons, reading.term, rest, reading.probability
    ]  # fmt: skip
    return [AtAPiece(*row) for row in torch.stack([c.float() for c in columns], 1).tolist()]


def find_word(pieces: Pieces, word: str) -> list[int]:
    """Find a word in a sentence.

    Args:
        pieces: of the sentence.
        word: in any case.

    Returns:
        The numbers of the pieces of its first occurrence; none if it does not occur.
    """
    found = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", pieces.text, re.IGNORECASE)
    return [] if found is None else pieces.between(found.start(), found.end())


def mean(places: Sequence[AtAPiece]) -> AtAPiece:
    """Average each column."""
    columns = zip(*map(astuple, places), strict=True)
    return AtAPiece(**{f.name: fmean(c) for f, c in zip(fields(AtAPiece), columns, strict=True)})
