"""Scores translations before and after lessons: correct words, and changes."""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from sacrebleu.metrics import BLEU, CHRF

from fairseq_plugins.evaluation.lesson_sets import Asked, LessonSet, words_of

STEM = 5  # letters that inflected forms of a word have in common
CONTENT = 4  # letters of a content word, at least: shorter ones are mostly function words
Z = 1.959964  # of a 95 % interval


@dataclass(frozen=True)
class Share:
    """A share, with the 95 % interval of Wilson (1927)."""

    count: int
    total: int

    @property
    def percent(self) -> float:
        """The share in percent; NaN if the total is 0."""
        return 100 * self.count / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends of the interval, in percent."""
        if not self.total:
            return math.nan, math.nan
        n, p = self.total, self.count / self.total
        middle = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
        half = Z / (1 + Z * Z / n) * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
        return 100 * max(0.0, middle - half), 100 * min(1.0, middle + half)

    def __str__(self) -> str:
        if not self.total:
            return "-"
        low, high = self.interval
        return f"{self.percent:.1f} [{low:.1f}, {high:.1f}]"

    def as_json(self) -> dict:
        """Return all numbers for programs."""
        low, high = self.interval
        return {"count": self.count, "total": self.total, "low": low, "high": high}


@dataclass(frozen=True)
class Answers:
    """Translations of all sentences of a set, and the time in seconds that they took."""

    questions: list[str]
    lessons: list[str]
    other: list[str]
    seconds: float = 0.0


@dataclass(frozen=True)
class LessonScores:
    """Scores of a translator on a set.

    Attributes:
        right: questions whose translation contains exactly the word asked for.
        inflected: the same, or a word that begins with the same five letters.
        bleu: of the questions.
        verbatim: lessons that are reproduced word for word.
        lessons_bleu: of the lessons.
        other_bleu: of the other sentences.
        other_chrf: chrF2 of the other sentences.
        changed: other sentences whose translation differs from before.
        reworded: other sentences whose content words differ from before.
        better: other sentences with more of their reference's content words than before.
        worse: other sentences with fewer of them.
        unprovoked: of the other sentences without a word that a lesson has and training does not
            know, those that are reworded.
        seconds: time that the translations took.
    """

    right: Share
    inflected: Share
    bleu: float
    verbatim: Share
    lessons_bleu: float
    other_bleu: float
    other_chrf: float
    changed: Share
    reworded: Share
    better: Share
    worse: Share
    unprovoked: Share
    seconds: float

    def as_json(self) -> dict:
        """Return all numbers for programs."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {n: v.as_json() if isinstance(v, Share) else v for n, v in found.items()}


class LessonScorer:
    """Scores answers to a set.

    Args:
        lesson_set: what was taught and asked.
        tokenize: sacrebleu's tokenisation, ``13a`` or ``none``.
        knows: says whether training knows a source word.
    """

    def __init__(
        self,
        lesson_set: LessonSet,
        tokenize: str = "13a",
        knows: Callable[[str], bool] = lambda word: True,
    ) -> None:
        self.set = lesson_set
        new = {word for word in _vocabulary(lesson_set.lessons.source) if not knows(word)}
        self._provoked = [not new.isdisjoint(words_of(text)) for text in lesson_set.other.source]
        self._bleu, self._chrf = BLEU(tokenize=tokenize, force=True), CHRF()

    @property
    def signatures(self) -> dict[str, str]:
        """Sacrebleu's signatures, by metric, once something was scored."""
        return {
            "BLEU": str(self._bleu.get_signature()), "chrF2": str(self._chrf.get_signature())
        }  # fmt: skip

    def score(self, answers: Answers, before: Answers) -> LessonScores:
        """Score answers, and compare them with those before."""
        found = answers.questions
        right = is_right(self.set.asked, found)
        inflected = is_right_but_for_its_ending(self.set.asked, found)
        contents = [
            tuple(map(content_words, texts))
            for texts in zip(before.other, answers.other, self.set.other.target, strict=True)
        ]
        reworded = [old != new for old, new, _ in contents]
        gains = [len(new & wanted) - len(old & wanted) for old, new, wanted in contents]
        return LessonScores(
            Share(sum(right), len(right)),
            Share(sum(a or b for a, b in zip(right, inflected, strict=True)), len(right)),
            self._bleu_of(found, self.set.questions.target),
            _share(a == b for a, b in zip(answers.lessons, self.set.lessons.target, strict=True)),
            self._bleu_of(answers.lessons, self.set.lessons.target),
            self._bleu_of(answers.other, self.set.other.target),
            float(self._chrf.corpus_score(answers.other, [self.set.other.target]).score),
            _share(a != b for a, b in zip(before.other, answers.other, strict=True)),
            _share(reworded),
            _share(gain > 0 for gain in gains),
            _share(gain < 0 for gain in gains),
            _share(new for new, why in zip(reworded, self._provoked, strict=True) if not why),
            answers.seconds,
        )

    def _bleu_of(self, found: Sequence[str], references: Sequence[str]) -> float:
        return float(self._bleu.corpus_score(found, [references]).score)


def is_right(asked: Sequence[Asked], translations: Sequence[str]) -> list[bool]:
    """Return which of the words asked for are in the translations of their questions."""
    having = [set(words_of(text)) for text in translations]
    return [having[one.question].issuperset(words_of(one.word)) for one in asked]


def is_right_but_for_its_ending(asked: Sequence[Asked], translations: Sequence[str]) -> list[bool]:
    """Return which translations have a word with the same first letters as that asked for."""
    stems = [{word[:STEM] for word in words_of(text)} for text in translations]
    return [words_of(one.word)[0][:STEM] in stems[one.question] for one in asked]


def content_words(text: str) -> set[str]:
    """Return the words of a text that have at least four letters."""
    return {word for word in words_of(text) if len(word) >= CONTENT}


def by_group(
    asked: Sequence[Asked], right: Sequence[bool], group: Callable[[Asked], Hashable]
) -> dict[Hashable, Share]:
    """Divide questions into groups, and return the share of correct ones in each, in order."""
    found: dict[Hashable, list[bool]] = {}
    for one, good in zip(asked, right, strict=True):
        found.setdefault(group(one), []).append(good)
    return {name: _share(found[name]) for name in sorted(found, key=str)}


def _vocabulary(texts: Iterable[str]) -> set[str]:
    return {word for text in texts for word in words_of(text)}


def _share(which: Iterable[bool]) -> Share:
    found = list(which)
    return Share(sum(found), len(found))
