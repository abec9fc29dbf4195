"""Measures whether one example is enough: teach once, ask elsewhere, check damage, forget."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from fairseq_plugins.evaluation.found_or_trusted import FoundOrTrusted, found_or_trusted
from fairseq_plugins.evaluation.lesson_scores import (
    Answers,
    LessonScorer,
    LessonScores,
    Share,
    by_group,
    is_right,
)
from fairseq_plugins.evaluation.lesson_sets import Asked, LessonSet, read_lesson_set, read_text
from fairseq_plugins.evaluation.pupils import (
    Alone,
    Constrained,
    FineTuned,
    NearestNeighbours,
    Pupil,
    WithMemory,
    best_weights,
    same_memories,
)

BEFORE, TAUGHT = "before", "taught"
WEIGHT = 0.5  # of neighbours in plain kNN-MT
WEIGHTS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
TEMPERATURES = (10.0, 30.0, 100.0, 300.0)
PASSES = (1, 3, 10)


@dataclass(frozen=True)
class Measuring:
    """What to measure.

    Attributes:
        beam: width of the search.
        tokenize: sacrebleu's tokenisation, ``13a`` or ``none``.
        lessons: use only the first N lessons and the questions about their words; None for all.
        baselines: whether to measure other ways of learning as well.
        corpus: prefix of parallel text that is written to the memory after the lessons; None leaves
            this out.
        written: greatest number of its sentence pairs to write.
    """

    beam: int = 5
    tokenize: str = "13a"
    lessons: int | None = None
    baselines: bool = False
    corpus: Path | None = None
    written: int = 10_000


@dataclass(frozen=True)
class LessonReport:
    """All results.

    Attributes:
        scores: by translator, in order.
        groups: shares of correct answers by number of pieces, by whether the source word was
            known, and by how often the word is asked for; before and after.
        found: reasons for failures.
        forgets: whether forgetting the lessons restored the memory bit for bit, and all answers.
        written: number of sentence pairs written after the lessons, for the name of the row.
        signatures: sacrebleu's signatures, by metric.
    """

    scores: dict[str, LessonScores]
    groups: dict[str, dict[str, tuple[Share, Share]]]
    found: FoundOrTrusted | None
    forgets: bool
    signatures: dict[str, str]
    lessons: int = 0
    questions: int = 0
    other: int = 0

    def __str__(self) -> str:
        """Return all results for people."""
        parts = [
            f"{self.lessons:,} lessons, {self.questions:,} questions, {self.other:,} other "
            "sentences. Percentages with 95 % intervals.",
            scores_table(self.scores),
            groups_table(self.groups),
        ]
        if self.found is not None:
            parts.append(f"At the pieces of {self.found.words:,} words that are asked for, with "
                         f"the reference given:\n{self.found}")  # fmt: skip
        parts.append("Forgetting the lessons " + (
            "restores the memory bit for bit, and all answers." if self.forgets
            else "does NOT restore the memory and all answers."
        ))  # fmt: skip
        parts += [f"{name}  {signature}" for name, signature in self.signatures.items()]
        return "\n\n".join(parts)

    def as_json(self) -> dict:
        """Return all results for programs."""
        groups = {
            kind: {name: {BEFORE: a.as_json(), TAUGHT: b.as_json()} for name, (a, b) in of.items()}
            for kind, of in self.groups.items()
        }
        return {
            "scores": {name: one.as_json() for name, one in self.scores.items()},
            "groups": groups,
            "found": None if self.found is None else asdict(self.found),
            "forgets": self.forgets,
            "signatures": self.signatures,
            "lessons": self.lessons, "questions": self.questions, "other": self.other,
        }  # fmt: skip


def measure_folder(
    folder: Path, set_folder: Path, how: Measuring, device: str = "cpu"
) -> LessonReport:
    """Evaluate a translator folder; its own lessons and files stay unchanged.

    Raises:
        InputError: if the folder, the set or the corpus is unusable.
    """
    alone = Alone(folder, device)
    lesson_set = read_lesson_set(set_folder, alone.languages)
    if how.lessons is not None:
        lesson_set = lesson_set.first(how.lessons)
    corpus = None if how.corpus is None else read_text(how.corpus, alone.languages)
    further = [] if corpus is None else corpus[: how.written].pairs()
    pupil = WithMemory(alone)
    exam = Exam(lesson_set, how, alone.knows)
    start, before = pupil.held(), exam.sit(BEFORE, alone)
    with taught(pupil, lesson_set):
        after, found = exam.sit(TAUGHT, pupil), found_or_trusted(alone, lesson_set)
    again = alone.translate(lesson_set.questions.source, how.beam)
    forgets = same_memories(start, pupil.held()) and again == before.questions
    if how.baselines:
        for name, other in baselines(alone, lesson_set):
            with taught(other, lesson_set):
                exam.sit(name, other)
    if further:  # last, for what is written stays
        with taught(pupil, lesson_set):
            pupil.write(further)
            exam.sit(f"after {len(further):,} pairs", pupil)
    return LessonReport(
        exam.scores, groups_of(alone, lesson_set, before, after), found, forgets,
        exam.signatures, len(lesson_set.lessons), len(lesson_set.questions), len(lesson_set.other),
    )  # fmt: skip


class Exam:
    """Asks translators that were taught, and scores their answers.

    Args:
        lesson_set: lessons and questions.
        how: what to measure.
        knows: says whether training knows a source word.
    """

    def __init__(
        self,
        lesson_set: LessonSet,
        how: Measuring,
        knows: Callable[[str], bool] = lambda word: True,
    ) -> None:
        self._set, self._how = lesson_set, how
        self._scorer = LessonScorer(lesson_set, how.tokenize, knows)
        self._before: Answers | None = None
        self.scores: dict[str, LessonScores] = {}

    @property
    def signatures(self) -> dict[str, str]:
        """Sacrebleu's signatures, by metric."""
        return self._scorer.signatures

    def sit(self, name: str, pupil: Pupil) -> Answers:
        """Record the scores of a pupil; the others are compared with the first one."""
        found = self.answers(pupil)
        self._before = self._before or found
        self.scores[name] = self._scorer.score(found, self._before)
        return found

    def answers(self, pupil: Pupil) -> Answers:
        """Let a pupil translate everything."""
        begin, beam = time.perf_counter(), self._how.beam
        texts = (self._set.questions, self._set.lessons, self._set.other)
        questions, lessons, other = (pupil.translate(text.source, beam) for text in texts)
        return Answers(questions, lessons, other, time.perf_counter() - begin)


@contextmanager
def taught(pupil: Pupil, lesson_set: LessonSet) -> Iterator[None]:
    """Teach a pupil all lessons, for as long as the context lasts."""
    pupil.teach(lesson_set.lessons.pairs())
    try:
        yield
    finally:
        pupil.forget()


def baselines(alone: Alone, lesson_set: LessonSet) -> Iterator[tuple[str, Pupil]]:
    """Yield other ways of learning from lessons, with their names."""
    yield f"kNN, weight {WEIGHT}", NearestNeighbours(alone, WEIGHT)
    # Searched on the questions themselves: better than it could be on text not known beforehand.
    lessons, questions = lesson_set.lessons.pairs(), lesson_set.questions.pairs()
    weight, temperature = best_weights(alone, lessons, questions, WEIGHTS, TEMPERATURES)
    name = f"kNN, best of {len(WEIGHTS) * len(TEMPERATURES)} (weight {weight}, x {temperature:.0f})"
    yield name, NearestNeighbours(alone, weight, temperature)
    for passes in PASSES:
        yield f"fine-tuned, {passes} x", FineTuned(alone, passes)
    yield "word given", Constrained(alone, questions, lesson_set.asked)


def groups_of(
    alone: Alone, lesson_set: LessonSet, before: Answers, after: Answers
) -> dict[str, dict[str, tuple[Share, Share]]]:
    """Group questions by properties that may make them hard."""
    asked = lesson_set.asked
    times: dict[str, int] = {}
    for one in asked:
        times[one.word] = times.get(one.word, 0) + 1

    def pieces(one: Asked) -> str:
        count = len(alone.target.encode(one.word)) if one.word else 0
        return str(count) if count < 5 else "5 or more"

    def known(one: Asked) -> str:
        return "known to training" if alone.knows(one.source_word) else "new"

    kinds = {
        "pieces of the word": pieces,
        "source word": known,
        "questions for the word": lambda one: str(times[one.word]),
    }
    right = [is_right(asked, answers.questions) for answers in (before, after)]
    result = {}
    for kind, group in kinds.items():
        then, now = (by_group(asked, which, group) for which in right)
        result[kind] = {str(name): (then[name], now[name]) for name in then}
    return result


def scores_table(scores: dict[str, LessonScores]) -> str:
    """Return a table with a row for each pupil."""
    head = ["", "correct elsewhere", "or inflected", "BLEU", "lessons verbatim", "BLEU",
            "others changed", "reworded", "better", "worse", "unprovoked", "BLEU", "chrF2",
            "s"]  # fmt: skip
    rows = [
        [name, str(s.right), str(s.inflected), f"{s.bleu:.1f}", str(s.verbatim),
         f"{s.lessons_bleu:.1f}", str(s.changed), str(s.reworded), str(s.better.count),
         str(s.worse.count), str(s.unprovoked), f"{s.other_bleu:.2f}",
         f"{s.other_chrf:.2f}", f"{s.seconds:.0f}"]
        for name, s in scores.items()
    ]  # fmt: skip
    return table([head, *rows])


def groups_table(groups: dict[str, dict[str, tuple[Share, Share]]]) -> str:
    """Return a table with a row for each group."""
    rows = [["", "", "asked", "correct before", "correct after"]]
    for kind, of in groups.items():
        for number, (name, (before, after)) in enumerate(of.items()):
            label = kind if number == 0 else ""
            rows.append([label, name, f"{after.total:,}", str(before), str(after)])
    return table(rows)


def table(rows: list[list[str]]) -> str:
    """Align columns, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([f"{first:{widths[0]}}", *cells]).rstrip())
    return "\n".join(lines)
