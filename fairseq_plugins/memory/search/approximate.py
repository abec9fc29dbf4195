"""Approximate search: an index proposes slots, and the proposals are scored as in exact search.

So similarities are exact and ties go to the lower slot; a slot can only be missed. The index lives
with the memory: whatever a commit, an eviction or a lesson changes is changed in it, slot by slot.
It is fitted anew only if the memory has become another one, has grown or shrunk several times, or
if the index has lost its balance.

A memory with few keys is searched exactly, which is faster then.
"""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_plugins.memory.config import MemoryConfig
from fairseq_plugins.memory.hits import NOTHING
from fairseq_plugins.memory.search.exact import ExactSearch
from fairseq_plugins.memory.search.recall import SAMPLE, Found, Recall, Tuning, recall
from fairseq_plugins.memory.search.selection import best, dot_products
from fairseq_plugins.memory.search.stored_index import (
    Partition,
    UnusableIndex,
    read_index,
    write_index,
)

logger = logging.getLogger(__name__)

_SPARE = 16  # least number of proposals beyond k; half of k if that is more
_ROUNDING = 1e-6  # of a similarity in float32
_AT_ONCE = 1 << 16  # keys that are added at once
_GROWN = 4  # an index is fitted anew when it has 4 times as many keys, or a fourth
_UNBALANCED = 1.5  # or when its searches have become this much more expensive


class Index(Protocol):
    """Keys arranged so that those near a query are found without looking at all of them."""

    @property
    def efforts(self) -> Sequence[int]:
        """Degrees of thoroughness, ascending; the last one finds everything."""

    @property
    def imbalance(self) -> float:
        """Cost of a search relative to a perfectly balanced index."""

    def runs_on(self, device: torch.device) -> bool:
        """Return whether keys on a device can be indexed."""

    def fit(self, keys: Tensor, slots: Tensor) -> None:
        """Adapt to the keys of slots [n] among [S, D], and hold none."""

    def add(self, slots: Tensor, keys: Tensor) -> None:
        """Add the keys [n, D] of distinct slots [n] that are not in the index."""

    def remove(self, slots: Tensor) -> None:
        """Remove slots [n] that are in the index."""

    def partition(self, slots: Tensor) -> Partition | None:
        """Return how the slots [n] that it holds are divided; None if that is made quickly."""

    def restore(self, keys: Tensor, slots: Tensor, partition: Partition) -> bool:
        """Hold slots [n] as they are divided; return False if this index is of another kind."""

    def propose(self, query: Tensor, count: int, effort: int, keys: Tensor) -> Tensor:
        """Propose slots that may be the nearest.

        Args:
            query: [N, D].
            count: greatest number of proposals for each query.
            effort: one of ``efforts``.
            keys: [S, D], of the memory, for an index that has no copy.

        Returns:
            Distinct slots [N, m] in any order; -1 where there are fewer.
        """


class ApproximateSearch:
    """A search with an index, see :class:`~fairseq_plugins.memory.search.NearestNeighbors`.

    Args:
        index: proposes slots.
        config: of the memory. The index searches as thoroughly as its ``recall`` needs.
        least: number of keys from which the index is used.

    Attributes:
        stored: a file that may contain the index, for the first time that it is needed.
    """

    def __init__(self, index: Index, config: MemoryConfig, least: int) -> None:
        self.index, self.config, self.least = index, config, least
        self.exact = ExactSearch(config.search_dtype, config.search_budget_mb)
        self.stored: Path | None = None
        self._fitted = 0  # number of keys when the index was fitted; 0 while it is not in use
        self._balance = 1.0  # at that time
        self._changes = 0  # since the balance was last looked at
        self._held = torch.empty(0, dtype=torch.bool)  # [S], which slots the index has
        self._tunings: dict[int, Tuning] = {}  # by k

    # --- Changes ----------------------------------------------------------------------------------

    @torch.inference_mode(False)  # the contents must outlive a caller's inference mode
    def update(self, keys: Tensor, values: Tensor, changed: Tensor | None = None) -> None:
        """Set the contents, see :class:`~fairseq_plugins.memory.search.NearestNeighbors`."""
        self.keys, self.values = keys, values
        if changed is None:
            self._leave()
        elif self._fitted:
            self._follow(changed.unique())
        self.exact.update(keys, values, changed)

    def _follow(self, changed: Tensor) -> None:
        """Change the index at the only slots [C] that were filled, changed or emptied."""
        if len(self.values) > len(self._held):  # the memory has grown
            self._held = F.pad(self._held, (0, len(self.values) - len(self._held)))
        self.index.remove(changed[self._held[changed]])
        filled = self.values[changed] != NOTHING
        self.index.add(changed[filled], self.keys[changed[filled]])
        self._held[changed] = filled
        self._changes += len(changed)

    def _leave(self) -> None:
        """Search exactly from now on, until the index is fitted."""
        self.exact = ExactSearch(self.config.search_dtype, self.config.search_budget_mb)
        self._fitted = 0

    def _in_use(self) -> bool:
        """Fit the index if it is time to; return whether it is used."""
        filled = self.exact.filled
        if self._fitted / _GROWN < filled < self._fitted * _GROWN and not self._unbalanced(filled):
            return True
        if filled >= self.least and self.index.runs_on(self.keys.device):
            self._fit()
        elif self._fitted:
            self._leave()
            self.exact.update(self.keys, self.values)
        return self._fitted > 0

    def _unbalanced(self, filled: int) -> bool:
        """Look at the balance after every eighth of the keys has changed."""
        if self._changes < filled // 8:
            return False
        self._changes = 0
        return self.index.imbalance > _UNBALANCED * self._balance

    def _fit(self) -> None:
        began = time.perf_counter()
        slots = torch.nonzero(self.values != NOTHING).squeeze(1)
        restored = self._restore(slots)
        if not restored:
            self.index.fit(self.keys, slots)
            for some in slots.split(_AT_ONCE):
                self.index.add(some, self.keys[some])
        self._held = self.values != NOTHING
        self._fitted, self._changes, self._balance = len(slots), 0, self.index.imbalance
        self._tunings.clear()
        # From now on it only answers in doubt and checks, so copies of the keys would not pay.
        self.exact = ExactSearch("float32", self.config.search_budget_mb)
        self.exact.of_few.most = 0
        self.exact.update(self.keys, self.values)
        took = f"{'read' if restored else 'made'} in {time.perf_counter() - began:.1f} s"
        logger.info(f"memory search: {self.index} for {len(slots):,} keys, {took}")

    def _restore(self, slots: Tensor) -> bool:
        """Fill the index from its file, if there is one; return whether that was done."""
        path, self.stored = self.stored, None
        if path is None or not path.is_file():
            return False
        try:
            partition = read_index(path, self.keys, slots)
        except UnusableIndex as error:
            logger.info(f"memory search: {path} {error}, so the index is made again")
            return False
        return self.index.restore(self.keys, slots, partition)

    def save(self, path: Path) -> None:
        """Write the index to a file, if it is used and takes long to make.

        Lists that were made for other keys are made again before, so that the file has the best.
        """
        if not self._in_use():
            return
        if self._changes or self._fitted != self.exact.filled:
            self._fit()
        slots = torch.nonzero(self._held).squeeze(1)
        partition = self.index.partition(slots)
        if partition is not None:
            write_index(path, partition, self.keys, slots)

    # --- Answers ----------------------------------------------------------------------------------

    @torch.inference_mode(False)
    def search(self, query: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Search, see :class:`~fairseq_plugins.memory.search.NearestNeighbors`."""
        if not len(query) or not self._in_use():
            return self.exact.search(query, k)
        if k not in self._tunings:
            self._tunings[k] = Tuning(self.config.recall)
            self._tune_on_keys(k)
        tuning = self._tunings[k]
        sample = tuning.sample(query)
        if sample is not None:
            self._tune(k, sample)
        assert tuning.effort is not None
        return self._nearest(query, k, tuning.effort)

    def _nearest(self, query: Tensor, k: int, effort: int) -> Found:
        """Return the k best proposals; exact answers where a tie leaves too many."""
        proposed = self.index.propose(query, k + max(k // 2, _SPARE), effort, self.keys)
        proposed = F.pad(proposed, (0, max(0, k - proposed.shape[1])), value=NOTHING)
        similarities = dot_products(query, self.keys, proposed)
        worst = similarities.amin(dim=1)
        similarities, slots = best(similarities, proposed.clamp(min=0), k)
        doubt = (worst >= similarities[:, -1] - _ROUNDING) & (worst > -torch.inf)
        rows = torch.nonzero(doubt).squeeze(1)
        if len(rows):
            similarities[rows], slots[rows] = self.exact.search(query[rows], k)
        return similarities, slots

    # --- Recall -----------------------------------------------------------------------------------

    def _tune_on_keys(self, k: int) -> None:
        """Choose a first effort. Keys were queries once, and must find their neighbours."""
        slots = torch.nonzero(self._held).squeeze(1)
        slots = slots[:: max(1, len(slots) // SAMPLE)]
        self._tune(k, self.keys[slots], slots)

    def _tune(self, k: int, query: Tensor, own: Tensor | None = None) -> None:
        """Choose the effort for queries [n, D]: the keys of the slots ``own`` [n], or others."""
        wanted = k if own is None else k + 1
        exact = _without(self.exact.search(query, wanted), own)

        def measure(effort: int) -> Recall:
            found = _without(self._nearest(query, wanted, effort), own)
            return recall(exact, found, self.values, self.config.temperature)

        tuning, efforts = self._tunings[k], self.index.efforts
        before, reached = tuning.effort, tuning.choose(efforts, measure, len(query))
        level = logging.DEBUG if tuning.effort == before else logging.INFO
        logger.log(
            level,
            f"memory search: effort {tuning.effort:,} of {efforts[-1]:,} for {k} neighbours: "
            f"{reached}",
        )


def _without(found: Found, own: Tensor | None) -> Found:
    """Return k of k + 1 neighbours [N, k + 1], without the own slot [N] of each query."""
    if own is None:
        return found
    order = (found[1] == own.unsqueeze(1)).long().argsort(dim=1, stable=True)[:, :-1]
    return found[0].gather(1, order), found[1].gather(1, order)
