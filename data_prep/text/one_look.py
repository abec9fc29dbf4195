"""Chooses words to teach in one sentence pair each and to ask for in others, and their pairs.

A word of the target language is *unseen* if it never occurs in the text that a translator was
trained on. Its source word is the word of the source language that it occurs together with, the one
with the greatest Dice coefficient

    2 c(s, t) / (c(s) + c(t)),    c: number of sentence pairs with s, t, or both,

provided that no other target word fits that source word better. One of the pairs with both words
becomes the lesson; others are questions. No lesson contains another word that is asked for, and no
question is a lesson, so each word is taught once.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from random import Random
from typing import Any

from data_prep.core.ranges import SEEDS, ranged

WORD = re.compile(r"[^\W\d_]+(?:[-'\u2019][^\W\d_]+)*")  # letters, with hyphens and apostrophes


@dataclass(frozen=True)
class OneLookOptions:
    """The number and kind of words to choose."""

    words: int = ranged(300, 1, 1_000_000)
    """Greatest number of words to teach."""
    questions: int = ranged(3, 1, 1000)
    """Greatest number of sentence pairs in which each is asked for."""
    others: int = ranged(500, 1, 1_000_000)
    """Greatest number of sentence pairs without any of the words."""
    min_letters: int = ranged(5, 1, 1000)
    """Shorter words are mostly function words and abbreviations."""
    max_pairs: int = ranged(20, 2, 1_000_000)
    """Words in more sentence pairs than this are not rare."""
    max_words: int = ranged(60, 1, 1_000_000)
    """Longer sentences reveal little about a single word."""
    min_dice: float = ranged(0.6, 0, 1)
    """Dice coefficient with the source word; 1 if the two only occur together."""
    seed: int = ranged(1, SEEDS.low, SEEDS.high)
    """Seed of the choice."""


@dataclass(frozen=True)
class Asked:
    """A word that is asked for in a sentence pair; pairs are positions in the text."""

    word: str
    source_word: str
    lesson: int
    question: int


@dataclass(frozen=True)
class OneLook:
    """The choice.

    Attributes:
        asked: In the order of their words and lessons.
        others: Positions of pairs with none of the words.
        having: Positions of all pairs with one of the words.
    """

    asked: Sequence[Asked]
    others: Sequence[int]
    having: Sequence[int]

    def lessons(self) -> list[int]:
        """Return the positions of the pairs to teach, each once."""
        return list(dict.fromkeys(one.lesson for one in self.asked))

    def questions(self) -> list[int]:
        """Return the positions of the pairs to translate, each once."""
        return list(dict.fromkeys(one.question for one in self.asked))

    def as_data(self) -> list[dict[str, Any]]:
        """Return what is asked, with indices of lessons and questions instead of positions."""
        lessons = {pair: place for place, pair in enumerate(self.lessons())}
        questions = {pair: place for place, pair in enumerate(self.questions())}
        return [
            {
                "word": one.word,
                "source_word": one.source_word,
                "lesson": lessons[one.lesson],
                "question": questions[one.question],
            }
            for one in self.asked
        ]


def words_of(line: str) -> list[str]:
    """Return the words of a line in lower case."""
    return WORD.findall(line.lower())


class PairsByWord:
    """Sentence pairs, indexed by their words.

    Args:
        pairs: Source and target.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self.pairs = pairs
        self.of_source: dict[str, list[int]] = defaultdict(list)
        self.of_target: dict[str, list[int]] = defaultdict(list)
        for place, pair in enumerate(pairs):
            for index, line in zip((self.of_source, self.of_target), pair, strict=True):
                for word in dict.fromkeys(words_of(line)):
                    index[word].append(place)

    def source_word(self, word: str, min_dice: float) -> str | None:
        """Return the source word that a target word occurs together with, or None."""
        best = self._best(word, self.of_target, self.of_source, side=0)
        if best is None or best[0] < min_dice:
            return None
        back = self._best(best[1], self.of_source, self.of_target, side=1)
        return best[1] if back is not None and self._dice(best[1], word) >= back[0] else None

    def _dice(self, source: str, target: str) -> float:
        there, here = self.of_source[source], self.of_target[target]
        return 2 * len(set(there) & set(here)) / (len(there) + len(here))

    def _best(
        self, word: str, index: dict[str, list[int]], others: dict[str, list[int]], side: int
    ) -> tuple[float, str] | None:
        """Return the greatest Dice coefficient of a word, and the word of the other side.

        If there are several, it is the one with the most similar spelling, as for names.
        """
        places = index[word]
        together = Counter(
            other for place in places for other in set(words_of(self.pairs[place][side]))
        )
        scored = [(2 * n / (len(others[o]) + len(places)), o) for o, n in together.items()]
        if not scored:
            return None
        most = max(score for score, _ in scored)
        alike = (other for score, other in scored if score == most)
        return most, max(alike, key=lambda o: (SequenceMatcher(None, word, o).ratio(), o))


def choose(pairs: Sequence[tuple[str, str]], known: set[str], options: OneLookOptions) -> OneLook:
    """Choose words, lessons, questions, and other pairs.

    Args:
        pairs: Source and target.
        known: Words of the target language, in lower case, that must not be chosen.
        options: How many, and which.

    Returns:
        The choice, which depends only on the arguments.
    """
    random = Random(options.seed)
    index = PairsByWord(pairs)
    usable = set(_usable(pairs, options.max_words))
    candidates = [
        word
        for word, places in index.of_target.items()
        if len(word) >= options.min_letters
        and word not in known
        and 2 <= len(places) <= options.max_pairs
    ]
    random.shuffle(candidates)
    asked: list[Asked] = []
    chosen: dict[str, str] = {}
    taught: set[int] = set()  # pairs
    for word in candidates:
        if len(chosen) == options.words:
            break
        if not taught.isdisjoint(index.of_target[word]):
            continue  # it would be taught together with another word, and so twice
        source_word = index.source_word(word, options.min_dice)
        if source_word is None:
            continue
        both = sorted(usable & set(index.of_source[source_word]) & set(index.of_target[word]))
        random.shuffle(both)
        # A lesson with another word that is asked for would be a second lesson for that word.
        free = [p for p in both if chosen.keys().isdisjoint(words_of(pairs[p][1]))]
        if not free or len(both) < 2:
            continue
        lesson = free[0]
        questions = [place for place in both if place != lesson][: options.questions]
        chosen[word] = source_word
        taught.add(lesson)
        asked += [Asked(word, source_word, lesson, question) for question in questions]
    having = sorted({place for word in chosen for place in index.of_target[word]})
    spoken = {place for word in chosen.values() for place in index.of_source[word]}
    rest = sorted(usable - set(having) - spoken)
    others = sorted(random.sample(rest, min(options.others, len(rest))))
    return OneLook(asked, others, having)


def _usable(pairs: Sequence[tuple[str, str]], max_words: int) -> Iterator[int]:
    """Yield the positions of pairs that are neither empty, nor too long, nor repeated."""
    seen: set[str] = set()
    for place, pair in enumerate(pairs):
        new = seen.isdisjoint(pair)  # either side: a question must not be a lesson's translation
        seen.update(pair)
        if new and all(0 < len(line.split()) <= max_words for line in pair):
            yield place
