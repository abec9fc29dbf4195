"""Finds the slots that a full memory forgets, without looking at all of them.

The slot with the greatest age is forgotten, after noise has been added to all ages. Noise of at
most a can change the order of two slots only if their ages differ by at most 2a commits. So the
candidates are the oldest slots and those within 2a commits of them, and only they are examined.
"""

from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

_BLOCK = 4096  # notes examined at once
_MASK = (1 << 64) - 1
# Constants of splitmix64 (Steele, Lea, Flood 2014), which can compute its n-th number directly.
_STEP, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


class AgeOrder:
    """Notes of the commits at which slots were touched, oldest first.

    When a slot is touched again, it gets another note at the end. Its earlier note is outdated and
    is dropped when it is found. The cost of noting a commit depends on the number of touched slots;
    the cost of finding the oldest depends on the number of slots within the range of the noise.

    Args:
        touched: [S] int64, the commit that last touched each slot.
        evictable: [S] bool, the slots to note.
    """

    def __init__(self, touched: Tensor, evictable: Tensor) -> None:
        slots = torch.nonzero(evictable).squeeze(1)
        commits, order = torch.sort(touched[slots], stable=True)
        blocks = zip(slots[order].split(_BLOCK), commits.split(_BLOCK), strict=True)
        self._notes: deque[tuple[Tensor, Tensor]] = deque(blocks)
        self.length = len(slots)

    def touch(self, slots: Tensor, commit: Tensor) -> None:
        """Note that slots [N] were touched at a commit [], which is later than all earlier ones."""
        self._notes.append((slots, commit.expand(len(slots)).clone()))
        self.length += len(slots)

    def oldest(
        self, count: int, reach: float, touched: Tensor, evictable: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Return slots [M], M >= count, that include the oldest for all age changes by ``reach``.

        Args:
            count: number of slots to find; there are as many.
            reach: largest change of the difference of two ages, in commits.
            touched: [S] int64, the current commits.
            evictable: returns which slots of [N] may be forgotten now: [N] bool.
        """
        found: list[tuple[Tensor, Tensor]] = []
        number, last = 0, float("inf")
        while self._notes:
            slots, commits = self._notes.popleft()
            self.length -= len(slots)
            true = (touched[slots] == commits) & evictable(slots)
            found.append((slots[true], commits[true]))
            if number < count <= number + len(found[-1][0]):
                last = float(found[-1][1][count - 1 - number]) + reach
            number += len(found[-1][0])
            if len(commits) and float(commits[-1]) > last:
                break
        slots, commits = (torch.cat(parts) for parts in zip(*found, strict=True))
        self._notes.appendleft((slots, commits))  # until they are touched again
        self.length += len(slots)
        return slots[commits <= last]


def noise(slots: Tensor, seed: int, commit: int) -> Tensor:
    """Return numbers in [0, 1) for slots [N] int64, the same on every machine: [N] float64.

    The number of a slot depends only on the seed, the commit and the slot.
    """
    start = _scrambled_int(_scrambled_int(seed & _MASK) ^ (commit & _MASK))
    numbers = slots * _signed(_STEP) + _signed(start)  # the multiplication wraps around on purpose
    numbers = (numbers ^ _shifted(numbers, 30)) * _signed(_FIRST)
    numbers = (numbers ^ _shifted(numbers, 27)) * _signed(_SECOND)
    numbers = numbers ^ _shifted(numbers, 31)
    return _shifted(numbers, 11).double() * 2.0**-53


def _scrambled_int(number: int) -> int:
    number = (number + _STEP) & _MASK
    number = ((number ^ (number >> 30)) * _FIRST) & _MASK
    number = ((number ^ (number >> 27)) * _SECOND) & _MASK
    return number ^ (number >> 31)


def _signed(number: int) -> int:
    """Return the int64 with the same bits."""
    return number - (1 << 64) if number >> 63 else number


def _shifted(numbers: Tensor, bits: int) -> Tensor:
    """Shift bits to the right and fill with zeros: torch has no unsigned 64-bit integers."""
    return (numbers >> bits) & ((1 << (64 - bits)) - 1)
