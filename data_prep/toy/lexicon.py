"""The lexicon of the toy corpus: English words, their invented counterparts, and names.

Everything follows from the seed. No two entries share a form in the target language, so every
target word can be traced to one English word.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from random import Random

from data_prep.toy.words import (
    ADJECTIVES,
    DITRANSITIVE,
    INTRANSITIVE,
    PEOPLE,
    PLACES,
    THINGS,
    TRANSITIVE,
)

CASES = {"nominative": "", "accusative": "m", "oblique": "s"}
TENSES = {"present": "a", "past": "i", "future": "u"}
NUMBERS = (False, True)  # plural?
VOWELS = "aeiou"

NAMES = 4000  # most occur seldom or never: the tail of Zipf's law
KINDS = {"person": 0.5, "place": 0.3, "product": 0.2}  # of names, and their shares
NAME_ENDINGS = {
    "person": ("a", "in", "el", "or", "is", "an", "eth", "o"),
    "place": ("ton", "mere", "dale", "wick", "ford", "holm"),
    "product": ("ex", "on", "ix", "ana", "ol", "um"),
}
NAME_INITIALS = "BCDFGHKLMNPRSTVW"
NAME_MIDDLES = ("", "", "", "al", "am", "en", "er", "id", "in", "ol", "or", "ul", "un", "av")
FUNCTION_WORDS = ("an", "and", "not", "do", "does", "did", "will", "to", "who", "that", ".")
POSTPOSITIONS = {
    "in": "ra",
    "near": "vel",
    "behind": "ku",
    "beside": "fe",
    "with": "pe",
    "without": "nu",
    "for": "mi",
}
# Determiners for which the target has a stem with the noun's ending ...
ARTICLES = {"the": "l", "a": "t", "some": "t", "this": "d", "these": "d"}
# ... and those that never change.
NUMERALS = {"two": "bi", "three": "sel", "many": "mur"}
RELATIVE_STEM, NAME_PARTICLE, AND, NOT = "k", "si", "ai", "ne"


def ending(soft: bool, plural: bool, case: str) -> str:
    """Return the ending of nouns, adjectives, articles and relative pronouns."""
    return ("a" if soft else "o") + ("i" if plural else "") + CASES[case]


ENDINGS = [ending(*which) for which in product(NUMBERS, NUMBERS, CASES)]


@dataclass(frozen=True)
class Noun:
    """A noun; `soft` is its gender in the target language."""

    singular: str
    plural: str
    stem: str
    soft: bool

    def forms(self) -> list[str]:
        """Return all forms in the target language."""
        return [self.stem + ending(self.soft, *which) for which in product(NUMBERS, CASES)]


@dataclass(frozen=True)
class Adjective:
    """An adjective; it takes the ending of its noun."""

    english: str
    stem: str

    def forms(self) -> list[str]:
        """Return all forms in the target language."""
        return [self.stem + each for each in ENDINGS]


@dataclass(frozen=True)
class Verb:
    """A verb."""

    base: str
    third: str
    past: str
    stem: str

    def form(self, tense: str, plural: bool) -> str:
        """Return the form for a tense and the number of the subject."""
        return self.stem + TENSES[tense] + ("nt" if plural else "t")

    def forms(self) -> list[str]:
        """Return all forms in the target language."""
        return [self.form(*which) for which in product(TENSES, NUMBERS)]


@dataclass(frozen=True)
class Name:
    """A name, which never changes; its two forms have nothing in common."""

    source: str
    target: str
    kind: str


def add_s(word: str) -> str:
    """Return a regular English plural or third person."""
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    return word[:-1] + "ies" if word[-1] == "y" and word[-2] not in VOWELS else word + "s"


def add_ed(word: str) -> str:
    """Return a regular English past tense."""
    if word.endswith("e"):
        return word + "d"
    return word[:-1] + "ied" if word[-1] == "y" and word[-2] not in VOWELS else word + "ed"


class Lexicon:
    """All words of both languages.

    Args:
        seed: Determines all target words and names.
        words: Number of ordinary words of each kind, the most frequent ones; None for all.
        names: Number of names of all kinds together.

    Attributes:
        nouns: {"people" | "things" | "places": nouns, the more frequent first}.
        verbs: {"transitive" | "intransitive" | "ditransitive": verbs, likewise}.
        adjectives: Adjectives, likewise.
        names: {"person" | "place" | "product": names, likewise}.
    """

    def __init__(self, seed: int, words: int | None = None, names: int = NAMES) -> None:
        self._random = Random(f"lexicon {seed}")
        self._taken: set[str] = set()
        lists = {"people": PEOPLE, "things": THINGS, "places": PLACES}
        self.nouns = {
            kind: [self._noun(entry) for entry in lists[kind].split()[:words]] for kind in lists
        }
        self.adjectives = [Adjective(word, self._stem()) for word in ADJECTIVES.split()[:words]]
        frames = {
            "transitive": TRANSITIVE,
            "intransitive": INTRANSITIVE,
            "ditransitive": DITRANSITIVE,
        }
        self.verbs = {
            frame: [self._verb(entry) for entry in frames[frame].split()[:words]]
            for frame in frames
        }
        self.names = {kind: self._names(kind, round(names * KINDS[kind])) for kind in KINDS}

    def entries(self) -> list[Noun | Adjective | Verb]:
        """Return all ordinary words except function words."""
        nouns = [noun for nouns in self.nouns.values() for noun in nouns]
        verbs = [verb for verbs in self.verbs.values() for verb in verbs]
        return [*nouns, *self.adjectives, *verbs]

    def all_names(self) -> list[Name]:
        """Return all names, the more frequent of each kind first."""
        return [name for names in self.names.values() for name in names]

    def target_words(self) -> list[str]:
        """Return every form of every target word, for a dictionary."""
        agreeing = {*ARTICLES.values(), RELATIVE_STEM}
        return [
            *(stem + each for stem in sorted(agreeing) for each in ENDINGS),
            *(NAME_PARTICLE + case for case in CASES.values()),
            *(*POSTPOSITIONS.values(), *NUMERALS.values(), AND, NOT, "."),
            *(form for entry in self.entries() for form in entry.forms()),
            *(name.target for name in self.all_names()),
        ]

    def source_words(self) -> list[str]:
        """Return every form of every source word."""
        nouns = [noun for nouns in self.nouns.values() for noun in nouns]
        verbs = [verb for verbs in self.verbs.values() for verb in verbs]
        return [
            *(*FUNCTION_WORDS, *POSTPOSITIONS, *ARTICLES, *NUMERALS),
            *(form for noun in nouns for form in (noun.singular, noun.plural)),
            *(form for verb in verbs for form in (verb.base, verb.third, verb.past)),
            *(adjective.english for adjective in self.adjectives),
            *(name.source for name in self.all_names()),
        ]

    def _invent(self, *choices: Sequence[str]) -> str:
        """Combine parts, one of each choice, to a new word."""
        while True:
            word = "".join(self._random.choice(parts) for parts in choices)
            if word not in self._taken:
                self._taken.add(word)
                return word

    def _stem(self) -> str:
        # All stems have five letters, so no form of one can be a form of another.
        return self._invent("bdfgklmnprstvz", VOWELS, "dglmnrstvz", VOWELS, "bdfgklnprstvz")

    def _noun(self, entry: str) -> Noun:
        singular, _, plural = entry.partition(":")
        return Noun(singular, plural or add_s(singular), self._stem(), self._random.random() < 0.5)

    def _verb(self, entry: str) -> Verb:
        base, _, past = entry.partition(":")
        return Verb(base, add_s(base), past or add_ed(base), self._stem())

    def _names(self, kind: str, count: int) -> list[Name]:
        sources = [
            self._invent(NAME_INITIALS, VOWELS, "dglmnrstv", NAME_MIDDLES, NAME_ENDINGS[kind])
            for _ in range(count)
        ]
        targets = [
            self._invent("HKMNRSTY", VOWELS, "hkmnrsty", VOWELS, "hkmnrsty", (*VOWELS, "ao", "ei"))
            for _ in range(count)
        ]
        return [Name(source, target, kind) for source, target in zip(sources, targets, strict=True)]
