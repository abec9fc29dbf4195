"""Lessons with similar sources, as in translation memories."""

import re
import sys
from collections import Counter, defaultdict
from difflib import SequenceMatcher

from fairseq_plugins.teaching.lessons import Lesson
from fairseq_plugins.teaching.translation import Near

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
        shared = Counter(source for word in set(words) for source in self._sources.get(word, ()))
        counts = Counter(words)
        found = []
        for source in shared:
            others = self._words[source]
            common = sum((counts & Counter(others)).values())
            if 2 * common < least * (len(words) + len(others)):
                continue  # no order of the words makes it similar enough
            ratio = SequenceMatcher(None, words, others, autojunk=False).ratio()
            if ratio >= least:
                found.append((source, ratio))
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))


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
