"""Which slots of a memory are empty: counted and listed, so that no commit looks through all."""

import heapq
from collections.abc import Iterable

import torch
from torch import Tensor

from fairseq_plugins.memory.hits import NOTHING


class Occupancy:
    """Counts of filled and pinned slots, their mean age, and the empty ones, lowest first.

    Args:
        size: S, slots, all of them empty.

    Attributes:
        pinned: how many slots are.
        touched: the sum over filled slots, in commits.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.end = 0  # all slots from here on are empty
        self.holes: list[int] = []  # empty slots before it, a heap
        self.pinned = self.touched = 0

    @classmethod
    def of(cls, values: Tensor, pinned: Tensor, touched: Tensor) -> "Occupancy":
        """Look through a memory, once: from then on it is told what changes.

        Args:
            values: [S] int64, -1 where a slot is empty.
            pinned: [S] bool.
            touched: [S] int64.
        """
        found = cls(len(values))
        filled = values != NOTHING
        ends = torch.nonzero(filled)[-1:]
        found.end = int(ends) + 1 if len(ends) else 0
        # In ascending order, and so a heap.
        found.holes = torch.nonzero(~filled[: found.end]).squeeze(1).tolist()
        found.pinned = int(pinned.sum())
        found.touched = int((touched * filled).sum())
        return found

    @property
    def filled(self) -> int:
        """How many slots hold something."""
        return self.end - len(self.holes)

    @property
    def empty(self) -> int:
        """How many slots hold nothing."""
        return self.size - self.filled

    def take(self, count: int) -> list[int]:
        """The ``count`` lowest empty slots, or all there are; they count as filled now."""
        slots = [heapq.heappop(self.holes) for _ in range(min(count, len(self.holes)))]
        fresh = min(count - len(slots), self.size - self.end)
        slots += range(self.end, self.end + fresh)
        self.end += fresh
        return slots

    def give_back(self, slots: Iterable[int]) -> None:
        """Note that filled slots are empty again."""
        for slot in slots:
            heapq.heappush(self.holes, slot)
