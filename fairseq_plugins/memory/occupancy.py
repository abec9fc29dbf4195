"""Counts and lists empty slots, so that no commit has to search for them."""

import heapq
from collections.abc import Iterable

import torch
from torch import Tensor

from fairseq_plugins.memory.hits import NOTHING


class Occupancy:
    """Counts of filled and pinned slots, their mean age, and the empty slots, lowest first.

    Args:
        size: S, the number of slots, all empty.

    Attributes:
        pinned: number of pinned slots.
        touched: sum over filled slots, in commits.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.end = 0  # all slots from here on are empty
        self.holes: list[int] = []  # a heap of empty slots before ``end``
        self.pinned = self.touched = 0

    @classmethod
    def of(cls, values: Tensor, pinned: Tensor, touched: Tensor) -> "Occupancy":
        """Count the slots of a memory once; changes must be reported from then on.

        Args:
            values: [S] int64, -1 where a slot is empty.
            pinned: [S] bool.
            touched: [S] int64.
        """
        found = cls(len(values))
        filled = values != NOTHING
        ends = torch.nonzero(filled)[-1:]
        found.end = int(ends) + 1 if len(ends) else 0
        # Ascending order makes it a heap.
        found.holes = torch.nonzero(~filled[: found.end]).squeeze(1).tolist()
        found.pinned = int(pinned.sum())
        found.touched = int((touched * filled).sum())
        return found

    @property
    def filled(self) -> int:
        """Number of filled slots."""
        return self.end - len(self.holes)

    @property
    def empty(self) -> int:
        """Number of empty slots."""
        return self.size - self.filled

    def take(self, count: int) -> list[int]:
        """Take the ``count`` lowest empty slots, or all there are; they now count as filled."""
        slots = [heapq.heappop(self.holes) for _ in range(min(count, len(self.holes)))]
        fresh = min(count - len(slots), self.size - self.end)
        slots += range(self.end, self.end + fresh)
        self.end += fresh
        return slots

    def give_back(self, slots: Iterable[int]) -> None:
        """Count filled slots as empty again."""
        for slot in slots:
            heapq.heappush(self.holes, slot)
