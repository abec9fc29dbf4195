"""Separate searches among taught slots and among all others.

Lessons must not push anything out of the k neighbours, because a lesson would then change unrelated
answers. So both kinds of slots have k neighbours of their own.
"""

from dataclasses import replace

import torch
from torch import Tensor

from fairseq_plugins.memory.config import MemoryConfig
from fairseq_plugins.memory.hits import NOTHING
from fairseq_plugins.memory.search import create


class SearchApart:
    """Two searches over one memory.

    Args:
        config: of the memory; its ``search`` is for all slots that were not taught. Lessons are
            always searched exactly.

    Attributes:
        others: searches the slots that were not taught.
        lessons: searches copies of the keys that were.
        taught: [P] int64, these slots; None if they must be looked up.
    """

    def __init__(self, config: MemoryConfig) -> None:
        self.others = create(config)
        self.lessons = create(replace(config, search="exact"))
        self.taught: Tensor | None = None
        self._keys, self._pinned = torch.empty(0), torch.empty(0, dtype=torch.bool)

    def update(
        self, keys: Tensor, values: Tensor, pinned: Tensor, any_pinned: bool, changed: Tensor | None
    ) -> None:
        """Set the contents of the memory.

        Args:
            keys: [S, D].
            values: [S] int64, -1 if a slot is empty.
            pinned: [S] bool, which slots were taught.
            any_pinned: whether any slot was taught.
            changed: [C] int64, the only slots that differ from the last call; None for any slots.
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

    @torch.inference_mode(False)  # the contents must outlive a caller's inference mode
    def search_lessons(self, unit: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return similarities and slots [N, k] of the nearest slots that were taught."""
        if self.taught is None:  # looked up on demand, because lessons are often taught in a row
            self.taught = torch.nonzero(self._pinned).squeeze(1)
            keys = self._keys[self.taught]
            self.lessons.update(keys, torch.zeros_like(self.taught))
        with torch.autocast(unit.device.type, enabled=False):
            similarities, rows = self.lessons.search(unit.detach(), k)
        return similarities, self.taught[rows.clamp(min=0)].masked_fill(rows == NOTHING, NOTHING)

    def search(self, unit: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return similarities and slots of the k nearest slots of each kind.

        Returns:
            [N, 2 k], best first, with ties to the lower slot; [N, k] if nothing was taught.
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
