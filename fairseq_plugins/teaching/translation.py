"""The answers of a translator: texts, words, and the evidence for them."""

from dataclasses import dataclass, field

from fairseq_plugins.teaching.lessons import Lesson
from fairseq_plugins.teaching.text import counted

EXACT, FUZZY = "exact", "fuzzy"
LEAST = 0.005  # share of a word that is worth showing


@dataclass(frozen=True)
class Evidence:
    """Something remembered that supports a word."""

    source: str | None
    """The remembered sentence, if it is known."""
    target: str | None
    word: str
    """The remembered target word."""
    similarity: float
    """Similarity of the query to what is remembered, at most 1."""
    weight: float
    """Its part of the word's probability; all evidence adds up to the memory's share."""
    lesson: int | None
    """Id of the lesson; None if it comes from a corpus."""
    origin: str
    """Origin of the lesson, or corpus and line."""
    others: int = 0
    """Number of earlier places that were merged with this one."""

    @property
    def place(self) -> str:
        """Where it is remembered from, for people."""
        if self.lesson is not None:
            return f"lesson {self.lesson}{f', {self.origin}' if self.origin else ''}"
        if not self.others:
            return self.origin
        return f"{self.origin} and {counted(self.others, 'earlier place')}"


@dataclass(frozen=True)
class Word:
    """A word of a translation."""

    text: str
    start: int
    """Position of its first character in the translation."""
    end: int
    """Position after its last character."""
    probability: float
    """Probability of all its pieces together, given what precedes them."""
    memory_share: float | None = None
    """Share of it from the memory, 0 to 1; None if not computed, or if parts do not add up."""
    evidence: list[Evidence] = field(default_factory=list)
    """Best first."""

    def best(self, most: int) -> list[Evidence]:
        """Return the evidence to show: at most so much, and only what has a share of the word."""
        found = [e for e in self.evidence if self.memory_share is None or e.weight >= LEAST]
        return found[:most]

    @property
    def summary(self) -> str:
        """How probable it was, and why, for people."""
        probable = f"{self.probability:.0%} probable"
        if self.memory_share is None:
            return probable
        if self.memory_share < LEAST:
            return f"{probable}, by the network alone"
        return f"{probable}, {self.memory_share:.0%} of that from the memory"


@dataclass(frozen=True)
class Near:
    """A lesson whose source is similar to the sentence."""

    lesson: Lesson
    similarity: float
    """Similarity of the two sources, by words, 0 to 1."""
    difference: list[tuple[str, str]]
    """The parts of the sentence and the lesson's source, each with its text: ``=`` in both, ``+``
    only in the sentence, ``-`` only in the lesson."""


@dataclass(frozen=True)
class Sentence:
    """A sentence of a text with its translation, which a person can correct and teach."""

    source: str
    source_start: int
    """Position of its first character in the text."""
    start: int
    """Position of its translation's first character in the translation of the text."""
    end: int
    """Position after its last character."""
    lesson: Lesson | None = None
    """Lesson that translates it exactly."""
    near: list[Near] = field(default_factory=list)
    """Best first."""


@dataclass(frozen=True)
class Translation:
    """A translated text."""

    source: str
    text: str
    score: float
    """Mean log-probability of its pieces, in nats; 0 if all of it was taught."""
    words: list[Word]
    match: str | None = None
    """``exact``: taught in this form; ``fuzzy``: something similar was taught; None otherwise."""
    lessons: list[Lesson] = field(default_factory=list)
    """Ids of the lessons that were used exactly."""
    near: list[Near] = field(default_factory=list)
    """Similar lessons of its sentences in turn, best first for each."""
    sentences: list[Sentence] = field(default_factory=list)
    """Sentences that were translated, in their order."""
    alone: str | None = None
    """Translation without the memory, if shares are not available."""

    def __str__(self) -> str:
        """Return the text."""
        return self.text
