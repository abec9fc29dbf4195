"""A search among the slots that were taught, apart from one among all others.

What was taught must not push anything else out of the k neighbours: then a lesson would change
answers that have nothing to do with it. So both kinds of slots have k neighbours of their own.
"""

import torch
from torch import Tensor

from fairseq_plugins.memory.hits import NOTHING
from fairseq_plugins.memory.search import BACKENDS, NearestNeighbors


class SearchApart:
    """Two searches over one memory.

    Args:
        name: of the backend for all slots but those that were taught.
        dtype: see :class:`~.exact.ExactSearch`.
        budget_mb: see :class:`~.exact.ExactSearch`.

    Attributes:
        others: searches the slots that were not taught.
        lessons: searches copies of the keys that were.
        taught: [P] int64, the slots of these; None if they are to be looked up.
    """

    def __init__(self, name: str, dtype: str, budget_mb: int) -> None:
        self.others: NearestNeighbors = BACKENDS[name](dtype, budget_mb)
        self.lessons: NearestNeighbors = BACKENDS["exact"](dtype, budget_mb)
        self.taught: Tensor | None = None
        self._keys, self._pinned = torch.empty(0), torch.empty(0, dtype=torch.bool)

    def update(
        self, keys: Tensor, values: Tensor, pinned: Tensor, any_pinned: bool, changed: Tensor | None
    ) -> None:
        """Learn that these are now the memory.

        Args:
            keys: [S, D].
            values: [S] int64, -1 where a slot is empty.
            pinned: [S] bool, which slots were taught.
            any_pinned: whether there is one.
            changed: [C] int64, the only slots that differ from the last call; None means any.
        """
        if any_pinned:
            values = values.masked_fill(pinned, NOTHING)
        self.others.update(keys, values, changed)
        self._keys, self._pinned = keys, pinned
        self.taught = None if any_pinned else torch.empty(0, dtype=torch.int64)

    def search_others(self, unit: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return similarities and slots [N, k] of the nearest slots that were not taught."""
        with torch.autocast(unit.device.type, enabled=False):
            return self.others.search(unit.detach(), k)

    @torch.inference_mode(False)  # what is kept here must outlive a caller's inference mode
    def search_lessons(self, unit: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return similarities and slots [N, k] of the nearest slots that were taught."""
        if self.taught is None:  # not until somebody asks: lessons are often taught in a row
            self.taught = torch.nonzero(self._pinned).squeeze(1)
            keys = self._keys[self.taught]
            self.lessons.update(keys, torch.zeros_like(self.taught))
        with torch.autocast(unit.device.type, enabled=False):
            similarities, rows = self.lessons.search(unit.detach(), k)
        return similarities, self.taught[rows.clamp(min=0)].masked_fill(rows == NOTHING, NOTHING)

    def search(self, unit: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return similarities and slots of the k nearest of both kinds together.

        Returns:
            [N, 2 k], best first, ties to the lower slot; [N, k] if nothing was taught.
        """
        similarities, slots = self.search_others(unit, k)
        if self.taught is not None and not len(self.taught):
            return similarities, slots
        found = zip((similarities, slots), self.search_lessons(unit, k), strict=True)
        similarities, slots = (torch.cat(both, dim=1) for both in found)
        slots, order = slots.sort(dim=1)
        similarities, by_likeness = similarities.gather(1, order).sort(
            dim=1, descending=True, stable=True
        )
        return similarities, slots.gather(1, by_likeness)
