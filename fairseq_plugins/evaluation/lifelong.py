"""Measures a translator's day: each sentence is translated, then its correct translation taught.

Ways of working through the same text are compared: without memory; with a translation memory as in
every CAT tool, which copies the translation of the most similar sentence so far; with a translator
that remembers; and with both. No sentence is known before it was translated.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairseq_plugins.errors import InputError
from fairseq_plugins.evaluation.lesson_sets import Text, read_text
from fairseq_plugins.evaluation.lessons import table
from fairseq_plugins.evaluation.pupils import Alone, WithMemory, same_memories
from fairseq_plugins.evaluation.scoring import Scorer
from fairseq_plugins.progress import Progress
from fairseq_plugins.teaching.fuzzy import NearSources

ALONE, FUZZY, REMEMBERS, BOTH = "alone", "fuzzy matches", "remembers", "both"
PARTS = 5  # of the text, after each of which there are scores


@dataclass(frozen=True)
class Day:
    """What to measure.

    Attributes:
        sentences: use only the first N sentences; None for all.
        similarity: least similarity, from 0 to 1, of a sentence whose translation is copied.
        beam: width of the search.
        tokenize: sacrebleu's tokenisation, ``13a`` or ``none``.
    """

    sentences: int | None = None
    similarity: float = 0.75
    beam: int = 5
    tokenize: str = "13a"


@dataclass(frozen=True)
class DayReport:
    """All results.

    Attributes:
        until: numbers of sentences after which translations were scored.
        bleu: of all sentences so far, by way of working, for each number in ``until``.
        chrf: chrF2 of the whole text, by way of working.
        p: of a difference in BLEU from the translator that remembers, by the other ways of
            working: probability that it is due to chance (paired bootstrap).
        copied: number of sentences with a fuzzy match.
        forgets: whether forgetting everything restored the memory bit for bit.
        signatures: sacrebleu's signatures, by metric.
    """

    until: list[int]
    bleu: dict[str, list[float]]
    chrf: dict[str, float]
    p: dict[str, float]
    copied: int
    forgets: bool
    signatures: dict[str, str]

    def __str__(self) -> str:
        """Return all results for people."""
        head = ["BLEU of the first", *(f"{n:,}" for n in self.until), "chrF2", "p"]
        rows = [
            [name, *(f"{one:.2f}" for one in bleu), f"{self.chrf[name]:.2f}",
             f"{self.p[name]:.3f}" if name in self.p else ""]
            for name, bleu in self.bleu.items()
        ]  # fmt: skip
        return "\n".join([
            table([head, *rows]), "",
            f"{self.copied:,} of {self.until[-1]:,} sentences have a fuzzy match. p compares the "
            f"BLEU of all sentences with that of the translator that {REMEMBERS}.",
            "Forgetting everything " + (
                "restores the memory bit for bit." if self.forgets
                else "does NOT restore the memory."
            ),
            *(f"{name}  {signature}" for name, signature in self.signatures.items()),
        ])  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """Return all results for programs."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def measure_day(folder: Path, prefix: Path, how: Day, device: str = "cpu") -> DayReport:
    """Let a translator folder work through a text; its own lessons and files stay unchanged.

    Args:
        folder: of the translator.
        prefix: of the text, ``PREFIX.en`` and ``PREFIX.de`` for instance.
        how: what to measure.
        device: to compute on.

    Raises:
        InputError: if the folder or the text is unusable.
    """
    if not 0 < how.similarity <= 1:
        raise InputError(f"similarity {how.similarity}: it is above 0 and at most 1")
    alone = Alone(folder, device)
    text = read_text(prefix, alone.languages)[: how.sentences]
    pupil = WithMemory(alone)
    start, own = pupil.held(), alone.translate(text.source, how.beam)
    copies = list(fuzzy_matches(text, how.similarity))
    remembering = list(remembered(pupil, text, how.beam))
    pupil.forget()
    fuzzy, both = (
        [copy or one for copy, one in zip(copies, others, strict=True)]
        for others in (own, remembering)
    )
    worked = {ALONE: own, FUZZY: fuzzy, REMEMBERS: remembering, BOTH: both}
    return scored(
        worked, text.target, how.tokenize,
        copied=sum(copy is not None for copy in copies),
        forgets=same_memories(start, pupil.held()),
    )  # fmt: skip


def fuzzy_matches(text: Text, similarity: float) -> Iterator[str | None]:
    """Yield the translation of the most similar earlier sentence; None if none is near."""
    sources, known = NearSources(), dict[str, str]()
    for source, target in text.pairs():
        near = sources.find(source, similarity)
        yield known[near[0][0]] if near else None
        sources.add(source)
        known[source] = target


def remembered(pupil: WithMemory, text: Text, beam: int) -> Iterator[str]:
    """Yield translations by a translator that is taught each pair after it was translated.

    A source that was taught is translated as it was taught last, as translators in use do.
    """
    known = dict[str, str]()
    with Progress(total=len(text), desc="translating and teaching", unit=" sentences") as bar:
        for source, target in text.pairs():
            yield known.get(source) or pupil.translate([source], beam)[0]
            pupil.teach([(source, target)])
            known[source] = target
            bar.update()


def scored(
    worked: dict[str, list[str]],
    references: Sequence[str],
    tokenize: str,
    copied: int,
    forgets: bool,
) -> DayReport:
    """Score all ways of working, after each part of the text and as a whole."""
    count = len(references)
    until = sorted({max(1, count * part // PARTS) for part in range(1, PARTS + 1)})
    scorers = [Scorer(references[:n], None, tokenize) for n in until]
    scores = {
        name: [s.score(name, found[:n]) for n, s in zip(until, scorers, strict=True)]
        for name, found in worked.items()
    }
    return DayReport(
        until,
        {name: [round(one.bleu, 2) for one in of] for name, of in scores.items()},
        {name: round(of[-1].chrf, 2) for name, of in scores.items()},
        {
            name: scorers[-1].significance(found, worked[REMEMBERS])["BLEU"]
            for name, found in worked.items() if name != REMEMBERS
        },
        copied, forgets, scorers[-1].signatures,
    )  # fmt: skip
