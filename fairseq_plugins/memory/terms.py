"""Taught words: the source word that triggers each, and its spelling.

A memory of decoder states finds states that are similar to known ones. For a word that never
occurred in training, states contain little information, but they show where the network attends. So
a taught word has a second key, its *cue*: the source word that it translates. The key is a number,
compared for equality, and the value is a row of pieces. Like a :class:`KeyValueMemory`, it has no
parameters, and one example is enough.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fairseq_plugins.memory.hits import NOTHING

BUCKETS = 1 << 20  # of a table of counts: of 60,000 words, one in 17 shares its bucket
RARITY = 2.0  # occurrences in training that halve the trust in a term
LEAST_TRUST = 0.05  # least trust of a term that is triggered at all
RELATED = 0.6  # least share of a lesson's cues in a source that is related to it
COLUMNS = {"cues": 1, "pieces": 2, "commonness": 1, "origins": 1}
"""Buffers of the terms, and how many dimensions they have; a row is a term."""
MIXING = 0x2545F4914F6CDD1D  # spreads the numbers of words over all 64 bits


@dataclass(frozen=True)
class Term:
    """A source word of a lesson, and the new target word that translates it there."""

    cue: int
    """Number of the source word."""
    pieces: tuple[int, ...]
    """Pieces of the target word; none if the lesson has no new word for the cue."""
    commonness: int
    """Number of occurrences of the source word in the training text."""


@dataclass(frozen=True)
class Trusted:
    """A term that is triggered by a source word."""

    pieces: tuple[int, ...]
    trust: float
    """How far the term is trusted, from 0 to 1."""
    origin: int
    """Number of the last lesson with the term."""


class _Index:
    """The terms by their cues, and the lessons by theirs; changes cost what changes."""

    def __init__(self) -> None:
        self._lessons: dict[int, dict[int, int]] = {}  # cue -> lesson -> commonness of the cue
        self._terms: dict[int, dict[tuple[int, ...], dict[int, int]]] = {}  # ... -> lesson -> time
        self._cues: dict[int, set[int]] = {}  # lesson -> cues
        self._times = 0

    def add(self, cue: int, pieces: tuple[int, ...], commonness: int, lesson: int) -> None:
        """Add a term of a lesson, later than all others."""
        self._times += 1
        self._lessons.setdefault(cue, {})[lesson] = commonness
        self._cues.setdefault(lesson, set()).add(cue)
        if pieces:
            lessons = self._terms.setdefault(cue, {}).setdefault(pieces, {})
            lessons.pop(lesson, None)
            lessons[lesson] = self._times

    def remove(self, lesson: int) -> None:
        """Remove the terms of a lesson."""
        for cue in self._cues.pop(lesson, ()):
            del self._lessons[cue][lesson]
            for lessons in self._terms.get(cue, {}).values():
                lessons.pop(lesson, None)

    def called_by(self, cue: int) -> "list[Trusted]":
        """Return the terms that a cue triggers, newest first."""
        lessons = self._lessons.get(cue, {})
        found = []
        for pieces, having in self._terms.get(cue, {}).items():
            if having:
                common = next(reversed(lessons.values()))
                trust = len(having) / len(lessons) * RARITY / (RARITY + common)
                latest, time = next(reversed(having.items()))
                found.append((time, Trusted(pieces, trust, latest)))
        found.sort(key=lambda pair: -pair[0])
        return [term for _, term in found if term.trust >= LEAST_TRUST]

    def related_to(self, cues: Iterable[int]) -> "list[int]":
        """Return the lessons that share most of their cues with a source."""
        shared = Counter(lesson for cue in cues for lesson in self._lessons.get(cue, ()))
        enough = (n for n, count in shared.items() if count >= RELATED * len(self._cues[n]))
        return sorted(enough)


class WordCounts(nn.Module):
    """Counts the words of a text, by number, in a table of fixed size.

    Words may share a bucket, so a count can be too high but never too low.
    """

    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.zeros(BUCKETS, dtype=torch.int16))
        self._total: int | None = 0  # None if the table has changed

    def add(self, numbers: Tensor) -> None:
        """Add words [N] int64."""
        buckets, counts = torch.unique(self._bucket(numbers), return_counts=True)
        most = torch.iinfo(self.table.dtype).max
        total = (self.table[buckets].long() + counts).clamp(max=most)
        self.table[buckets] = total.to(self.table.dtype)
        self._total = None

    def of(self, numbers: Tensor) -> Tensor:
        """Return the counts [N] int64 of words [N] int64."""
        return self.table[self._bucket(numbers)].long()

    def total(self) -> int:
        """Return the count of all words, each up to 32,767."""
        if self._total is None:
            self._total = int(self.table.sum(dtype=torch.int64))
        return self._total

    @staticmethod
    def _bucket(numbers: Tensor) -> Tensor:
        return ((numbers * MIXING) >> 40) & (BUCKETS - 1)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        none = torch.zeros_like(self.table)  # for older checkpoints without a table
        state_dict.setdefault(f"{prefix}table", none)
        self._total = None
        super()._load_from_state_dict(state_dict, prefix, *args)


class TermMemory(nn.Module):
    """Terms: for each its cue, its pieces, how common its cue is, and its lesson.

    A term without pieces means that a lesson had a source word and no new word for it. So the
    memory knows not only what a word was translated as, but also how often it was not:

        trust = k / n * RARITY / (RARITY + c)

    for a term that k of the n lessons with its cue have, and a cue that occurs c times in the
    training text: if training knows a source word well, the network knows better when the taught
    word is meant.

    Attributes:
        cues: [T] int64, numbers of source words.
        pieces: [T, M] int64, -1 after the last one.
        commonness: [T] int64, c.
        origins: [T] int64, numbers of the lessons.
    """

    cues: Tensor
    pieces: Tensor
    commonness: Tensor
    origins: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, dimensions in COLUMNS.items():
            self.register_buffer(name, torch.empty([0] * dimensions, dtype=torch.int64))
        self._index: _Index | None = None

    def __len__(self) -> int:
        """Return the number of terms."""
        return len(self.cues)

    def __bool__(self) -> bool:
        """Return True: a module is true even if it is empty."""
        return True

    def teach(self, terms: Sequence[Term], origin: int) -> None:
        """Store the terms of a lesson.

        Args:
            terms: of the lesson.
            origin: number of the lesson, not negative.
        """
        self.teach_all([(terms, origin)])

    def teach_all(self, lessons: Iterable[tuple[Sequence[Term], int]]) -> None:
        """Store the terms of lessons, each with the number of its lesson, as :meth:`teach` does."""
        new = [(term, origin) for terms, origin in lessons for term in terms]
        if not new:
            return
        width = max(self.pieces.shape[1], *(len(term.pieces) for term, _ in new))
        rows = [[*term.pieces, *[NOTHING] * (width - len(term.pieces))] for term, _ in new]
        more = {
            "cues": [term.cue for term, _ in new],
            "pieces": rows,
            "commonness": [term.commonness for term, _ in new],
            "origins": [origin for _, origin in new],
        }
        self.pieces = _widened(self.pieces, width)
        for name, values in more.items():
            old = getattr(self, name)
            added = old.new_tensor(values).view(len(new), *old.shape[1:])
            setattr(self, name, torch.cat([old, added]))
        if self._index is not None:
            for term, origin in new:
                self._index.add(term.cue, term.pieces, term.commonness, origin)

    def forget(self, *origins: int) -> None:
        """Forget all terms of lessons, as if they had never been taught."""
        kept = ~torch.isin(self.origins, self.origins.new_tensor(origins))
        for name in ("cues", "commonness", "origins"):
            setattr(self, name, getattr(self, name)[kept])
        pieces = self.pieces[kept]
        width = int((pieces != NOTHING).sum(dim=1).max()) if len(pieces) else 0
        self.pieces = pieces[:, :width].clone()
        if self._index is not None:
            for origin in origins:
                self._index.remove(origin)

    def clear(self) -> None:
        """Forget all terms."""
        for name, buffer in list(self.named_buffers()):
            setattr(self, name, buffer.new_empty([0] * buffer.dim()))
        self._index = None

    def called_by(self, cue: int) -> "list[Trusted]":
        """Return the terms that a source word triggers, newest first."""
        return self._indexed().called_by(cue)

    def related_to(self, cues: Iterable[int]) -> "list[int]":
        """Return the numbers of the lessons that share most of their cues with a source.

        Args:
            cues: all words of the source, each once; those of a lesson are its rare source words
                and the source words of its terms.
        """
        return self._indexed().related_to(cues)

    def _indexed(self) -> _Index:
        if self._index is None:
            self._index = _Index()
            columns = (self.cues, self.pieces, self.commonness, self.origins)
            for cue, row, count, origin in zip(*(c.tolist() for c in columns), strict=True):
                pieces = tuple(piece for piece in row if piece != NOTHING)
                self._index.add(cue, pieces, count, origin)
        return self._index

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        for name, buffer in list(self.named_buffers()):  # for older checkpoints without them
            none = buffer.new_empty([0] * buffer.dim())
            found = state_dict.setdefault(f"{prefix}{name}", none)
            setattr(self, name, buffer.new_empty(found.shape))
        self._index = None
        super()._load_from_state_dict(state_dict, prefix, *args)


def terms_fault(state: Mapping[str, Any], num_values: int) -> str | None:
    """Say in a few words what is wrong with the terms in a model's state dict.

    Args:
        state: of a model, with terms or without.
        num_values: pieces are numbers in [0, num_values).

    Returns:
        None if they are sound.
    """
    for cue in [name for name in state if name.endswith("terms.memory.cues")]:
        prefix, count = cue.removesuffix("cues"), len(state[cue])
        for name, dimensions in COLUMNS.items():
            column = state.get(prefix + name)
            if column is None:
                return f"{name} of its terms are missing"
            if column.dtype != torch.int64 or column.dim() != dimensions or len(column) != count:
                return f"{name} of its {count} terms are {list(column.shape)} {column.dtype}"
        pieces = state[prefix + "pieces"]
        wrong = pieces[(pieces < NOTHING) | (pieces >= num_values)]
        if len(wrong):
            return f"a term has the piece {int(wrong[0])}, which is outside [0, {num_values})"
    return None


def _widened(pieces: Tensor, width: int) -> Tensor:
    """Pad [T, M] to [T, width]."""
    return torch.nn.functional.pad(pieces, (0, width - pieces.shape[1]), value=NOTHING)
