"""Lessons with similar sources, as in translation memories."""

import math
import re
import sys
from collections import Counter, defaultdict
from difflib import SequenceMatcher

from fairseq_plugins.teaching.lessons import Lesson
from fairseq_plugins.teaching.translation import Near

ROUNDING = 1e-9
WORD = re.compile(r"\w+|[^\w\s]")


class NearSources:
    """Sources that can be searched by their words."""

    def __init__(self) -> None:
        self._words: dict[str, list[str]] = {}
        self._sources: defaultdict[str, set[str]] = defaultdict(set)

    def add(self, source: str) -> None:
        """Add a source."""
        self._words[source] = [sys.intern(word) for word in _words(source)]  # each word once
        for word in self._words[source]:
            self._sources[word].add(source)

    def remove(self, source: str) -> None:
        """Remove a source."""
        for word in self._words.pop(source, ()):
            self._sources[word].discard(source)

    def find(self, sentence: str, least: float) -> list[tuple[str, float]]:
        """Return sources that are at least this similar, best first.

        The similarity is twice the number of words in the longest common parts, divided by the
        number of words of both, ignoring case.
        """
        words = _words(sentence)
        counts = Counter(words)
        found = []
        for source in self._candidates(words, least):
            others = self._words[source]
            common = sum((counts & Counter(others)).values())
            if 2 * common < least * (len(words) + len(others)):
                continue  # no order of the words makes it similar enough
            ratio = SequenceMatcher(None, words, others, autojunk=False).ratio()
            if ratio >= least:
                found.append((source, ratio))
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))

    def _candidates(self, words: list[str], least: float) -> set[str]:
        """Return all sources that may be similar enough, and few others.

        If c words of n and m are in common, 2 c >= least (n + m) and m >= c, so c is at least
        least n / (2 - least). Any n - c + 1 words of the sentence then have one in common with
        the source: the rarest ones are looked up.
        """
        common = math.ceil(least * len(words) / (2 - least) - ROUNDING)
        rarest = sorted(words, key=lambda word: len(self._sources.get(word, ())))
        looked_up = set(rarest[: len(words) - common + 1])
        return {source for word in looked_up for source in self._sources.get(word, ())}


def near(sentence: str, lesson: Lesson, similarity: float) -> Near:
    """Return the words in which a sentence and a lesson's source differ."""
    ours, theirs = sentence.split(), lesson.source.split()
    parts = []
    matcher = SequenceMatcher(None, _folded(ours), _folded(theirs), autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            parts.append(("=", " ".join(ours[a:b])))
            continue
        parts += [("+", " ".join(ours[a:b]))] * (b > a) + [("-", " ".join(theirs[c:d]))] * (d > c)
    return Near(lesson, similarity, parts)


def _words(text: str) -> list[str]:
    return _folded(WORD.findall(text))


def _folded(words: list[str]) -> list[str]:
    return [word.casefold() for word in words]
