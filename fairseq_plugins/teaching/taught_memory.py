"""The memory of a translator, kept in step with the journal of lessons."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fairseq_plugins.teaching.fuzzy import NearSources, near
from fairseq_plugins.teaching.journal import Journal
from fairseq_plugins.teaching.journal_tables import Decodings
from fairseq_plugins.teaching.lessons import Lesson, Pair
from fairseq_plugins.teaching.network import Decoding, Network
from fairseq_plugins.teaching.pieces import Tokens, Vocabulary, word_at
from fairseq_plugins.teaching.text import normalise, without_marks
from fairseq_plugins.teaching.texts import Texts
from fairseq_plugins.teaching.translation import Evidence, Near

AT_ONCE = 200  # lessons that are decoded and written together
REPLAYED = 10_000  # lessons that the memory gets together


@dataclass(frozen=True)
class Held:
    """A lesson in the memory.

    Attributes:
        lesson: the newest of its source.
        slots: [T] int64, of its target's tokens and their end.
    """

    lesson: Lesson
    slots: Tensor


class TaughtMemory:
    """A memory that contains the newest lesson of each source that was taught.

    Args:
        network: that has the memory.
        source: vocabulary of the source.
        target: vocabulary of the target.
        journal: of lessons.
        texts: of the corpora that filled the memory.
    """

    def __init__(
        self,
        network: Network,
        source: Vocabulary,
        target: Vocabulary,
        journal: Journal,
        texts: Texts,
    ) -> None:
        self._network, self._source, self._target = network, source, target
        self._journal, self._texts = journal, texts
        self._seen = 0  # the last event that the memory includes
        self._held: dict[str, Held] = {}  # by source
        self._ids: dict[int, Held] = {}  # the same by number of the lesson
        self._near = NearSources()

    def lesson(self, sentence: str) -> Lesson | None:
        """Return the lesson with exactly this source, if there is one."""
        held = self._held.get(normalise(sentence))
        return held.lesson if held else None

    def lessons(self) -> list[Lesson]:
        """Return the lessons in the memory."""
        return [held.lesson for held in self._ids.values()]

    def near(self, sentence: str, least: float) -> list[Near]:
        """Return lessons whose source is at least this similar (0 to 1), best first."""
        sentence = normalise(sentence)
        found = self._near.find(sentence, least)
        return [near(sentence, self._held[source].lesson, ratio) for source, ratio in found]

    def fault(self, pair: Pair) -> str | None:
        """Return why a pair cannot be taught, or None."""
        lengths = [len(tokens) for tokens in self._tokens(pair)]
        if not min(lengths):
            return "a lesson needs a source and a target"
        length = max(lengths)
        if length > self._network.longest:
            return f"has {length} pieces, but a sentence may have at most {self._network.longest}"
        return None

    def decodings(self, pairs: Sequence[Pair]) -> Decodings:
        """Decode pairs, and return what the memory stores for them."""
        sides = [self._tokens(pair) for pair in pairs]
        found = self._network.decode([(source.ids, target.ids) for source, target in sides])
        return Decodings(self._network.fingerprint, [one.to_bytes() for one in found])

    def _tokens(self, pair: Pair) -> tuple[Tokens, Tokens]:
        """Return the tokens of both sides."""
        source, target = without_marks(pair.source)[0], without_marks(pair.target)[0]
        return self._source.encode(source), self._target.encode(target)

    def follow(self) -> None:
        """Update the memory to the journal, if it has changed."""
        seen, news = self._journal.since(self._seen)
        gone, new = [], []
        for source, lesson in news.items():
            held = self._held.get(source)
            if held is not None and (lesson is None or held.lesson.version != lesson.version):
                gone.append(self._held.pop(source))
                self._near.remove(source)
                held = None
            if held is None and lesson is not None:
                new.append(lesson)
        if gone:
            self._network.forget([held.slots for held in gone], [held.lesson.id for held in gone])
            for held in gone:
                del self._ids[held.lesson.id]
        for some in in_parts(new, REPLAYED):
            self._remember(some)
        self._seen = seen

    def _remember(self, lessons: Sequence[Lesson]) -> None:
        """Write lessons to the memory."""
        fingerprint = self._network.fingerprint
        known = dict(self._journal.decodings([one.version for one in lessons], fingerprint))
        for missing in in_parts([one for one in lessons if one.version not in known], AT_ONCE):
            decodings = self.decodings(missing)  # they were taught to another model
            self._journal.remember(missing, decodings)
            known |= zip((one.version for one in missing), decodings.data, strict=True)
        decoded = [Decoding.from_bytes(known[lesson.version]) for lesson in lessons]
        slots = self._network.teach(decoded, [lesson.id for lesson in lessons])
        for lesson, own in zip(lessons, slots, strict=True):
            self._held[lesson.source] = self._ids[lesson.id] = Held(lesson, own)
            self._near.add(lesson.source)

    def describe_term(self, origin: int, word: str) -> Evidence:
        """Return the lesson or the line of a corpus that taught a word, without a weight."""
        if origin not in self._ids:
            source, target, _ = self._line(origin)
            where = self._network.corpora.describe(origin)
            return Evidence(source, target, word, 1.0, 0.0, None, where)
        lesson = self._ids[origin].lesson
        return Evidence(lesson.source, lesson.target, word, 1.0, 0.0, lesson.id, lesson.origin)

    def describe(self, slot: int) -> Evidence:
        """Return what a slot remembers, without similarity and weight."""
        memory = self._network.memory
        origin = int(memory.origins[slot])
        held = self._ids.get(origin)
        places = [] if held is None else held.slots.tolist()
        if held is not None and slot in places:
            lesson = held.lesson
            word = word_at(self._tokens(lesson)[1].pieces, places.index(slot))
            return Evidence(lesson.source, lesson.target, word, 0.0, 0.0, lesson.id, lesson.origin)
        piece = self._target.dictionary[int(memory.values[slot])]
        source, target, pieces = self._line(origin)
        if piece in pieces:
            word = word_at(self._target.join(pieces), pieces.index(piece))
        else:
            word = self._target.decode(memory.values[slot : slot + 1]).text
        where = self._network.corpora.describe(origin)
        return Evidence(source, target, word, 0.0, 0.0, None, where, int(memory.merges[slot]))

    def _line(self, origin: int) -> tuple[str | None, str | None, list[str]]:
        """Return source, target and the target's pieces of a line of a corpus, if known."""
        kept = self._texts.pieces(origin)
        if kept is None:
            return None, None, []
        source, target = (text.split() for text in kept)
        return self._source.join(source).text, self._target.join(target).text, target


def in_parts(items: Iterable[Any], count: int = AT_ONCE) -> Iterator[list[Any]]:
    """Yield items in lists of at most ``count``."""
    rest = iter(items)
    while some := list(itertools.islice(rest, count)):
        yield some
