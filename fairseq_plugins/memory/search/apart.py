"""Separate searches among taught slots and among all others.

Lessons must not push anything out of the k neighbours, because a lesson would then change unrelated
answers. So both kinds of slots have k neighbours of their own.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_plugins.memory.config import MemoryConfig
from fairseq_plugins.memory.hits import NOTHING
from fairseq_plugins.memory.search import create
from fairseq_plugins.memory.search.approximate import ApproximateSearch
from fairseq_plugins.memory.search.taught import TaughtSlots


class SearchApart:
    """Two searches over one memory.

    Args:
        config: of the memory; its ``search`` is for all slots that were not taught. Lessons are
            always searched exactly.

    Attributes:
        others: searches the slots that were not taught.
        lessons: searches those that were.
    """

    def __init__(self, config: MemoryConfig) -> None:
        self.others = create(config)
        self.lessons = TaughtSlots(config)
        self._any_pinned = False
        self._values = torch.empty(0, dtype=torch.int64)  # [S], -1 for pinned slots as well

    @torch.inference_mode(False)  # the contents must outlive a caller's inference mode
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
            values = self._unpinned(values, pinned, changed if self._any_pinned else None)
        self.others.update(keys, values, changed)
        self.lessons.update(keys, pinned, changed if any_pinned else None)
        self._any_pinned = any_pinned

    def _unpinned(self, values: Tensor, pinned: Tensor, changed: Tensor | None) -> Tensor:
        """Return the values [S] without those of pinned slots."""
        if changed is None:
            self._values = values.masked_fill(pinned, NOTHING)
            return self._values
        if len(values) > len(self._values):  # the memory has grown
            self._values = F.pad(self._values, (0, len(values) - len(self._values)), value=NOTHING)
        self._values[changed] = values[changed].masked_fill(pinned[changed], NOTHING)
        return self._values

    def read_index(self, path: Path) -> None:
        """Use the index in a file when one is needed, if the file has that of these keys."""
        if isinstance(self.others, ApproximateSearch):
            self.others.stored = path

    def write_index(self, path: Path) -> None:
        """Write the index to a file, if there is one that takes long to make."""
        if isinstance(self.others, ApproximateSearch):
            self.others.save(path)

    def search_others(self, unit: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return similarities and slots [N, k] of the nearest slots that were not taught."""
        with torch.autocast(unit.device.type, enabled=False):
            return self.others.search(unit.detach(), k)

    def search_lessons(self, unit: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return similarities and slots [N, k] of the nearest slots that were taught."""
        with torch.autocast(unit.device.type, enabled=False):
            return self.lessons.search(unit.detach(), k)

    def search(self, unit: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return similarities and slots of the k nearest slots of each kind.

        Returns:
            [N, 2 k], best first, with ties to the lower slot; [N, k] if nothing was taught.
        """
        similarities, slots = self.search_others(unit, k)
        if not self._any_pinned:
            return similarities, slots
        found = zip((similarities, slots), self.search_lessons(unit, k), strict=True)
        similarities, slots = (torch.cat(both, dim=1) for both in found)
        slots, order = slots.sort(dim=1)
        similarities, by_likeness = similarities.gather(1, order).sort(
            dim=1, descending=True, stable=True
        )
        return similarities, slots.gather(1, by_likeness)
