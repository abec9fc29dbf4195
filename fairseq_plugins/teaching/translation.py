"""What a translator answers: texts, words, and what speaks for them."""

from dataclasses import dataclass, field

from fairseq_plugins.teaching.lessons import Lesson

EXACT, FUZZY = "exact", "fuzzy"


@dataclass(frozen=True)
class Evidence:
    """Something remembered that speaks for a word."""

    source: str | None
    """The sentence that was remembered, where it is known."""
    target: str | None
    word: str
    """The word of the target that was remembered."""
    similarity: float
    """Of what was asked to what is remembered, at most 1."""
    weight: float
    """Its part of the word's probability: all evidence adds up to the memory's share."""
    lesson: int | None
    """Id, or None if it comes from a corpus."""
    origin: str


@dataclass(frozen=True)
class Word:
    """A word of a translation."""

    text: str
    start: int
    """Place of its first character in the translation."""
    end: int
    """Place behind its last character."""
    probability: float
    """Of all its pieces together, given what precedes them."""
    memory_share: float | None = None
    """Which part of it came from the memory, 0 to 1; None if nobody asked, or parts do not add."""
    evidence: list[Evidence] = field(default_factory=list)
    """Best first."""


@dataclass(frozen=True)
class Near:
    """A lesson whose source is nearly the sentence."""

    lesson: Lesson
    similarity: float
    """Of the two sources, word by word, 0 to 1."""
    difference: list[tuple[str, str]]
    """The sentence and the lesson's source, in parts: ``=`` in both, ``+`` only in the sentence,
    ``-`` only in the lesson; and the text."""


@dataclass(frozen=True)
class Sentence:
    """A sentence of a text with its translation: what a person corrects and teaches."""

    source: str
    source_start: int
    """Place of its first character in the text."""
    start: int
    """Place of its translation's first character in the translation of the text."""
    end: int
    """Place behind the last one."""
    lesson: Lesson | None = None
    """That translates it as it is."""
    near: list[Near] = field(default_factory=list)
    """Best first."""


@dataclass(frozen=True)
class Translation:
    """A text in the other language."""

    source: str
    text: str
    score: float
    """Mean log-probability of its pieces, in nats; 0 if all of it was taught."""
    words: list[Word]
    match: str | None = None
    """``exact``: taught as it is; ``fuzzy``: something nearly like it was; None."""
    lessons: list[Lesson] = field(default_factory=list)
    """That were used as they are."""
    near: list[Near] = field(default_factory=list)
    """Of its sentences, one after the other, and of each the best first."""
    sentences: list[Sentence] = field(default_factory=list)
    """That were translated, in their order."""
    alone: str | None = None
    """What the network would say without its memory, where shares do not tell."""

    def __str__(self) -> str:
        """The text."""
        return self.text
