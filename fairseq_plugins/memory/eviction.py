"""Which slots a full memory forgets, found without looking at all of them.

The greatest age goes, after noise has been added to all ages. Noise that is at most a changes the
order of two slots only if their ages differ by at most 2a commits. So the candidates are the
oldest slots and those that follow within 2a commits, and only they need to be looked at.
"""

from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor

_BLOCK = 4096  # notes looked at in one go
_MASK = (1 << 64) - 1
# Of splitmix64 (Steele, Lea, Flood 2014), a generator that can be asked for its n-th number.
_STEP, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


class AgeOrder:
    """Notes of which slot was touched at which commit, oldest first.

    A slot that is touched again gets another note at the end. Its earlier note no longer tells the
    truth, and is dropped when it is met. To note a commit costs what the commit touched; to find
    the oldest costs what is within the reach of the noise.

    Args:
        touched: [S] int64, commit of the last touch.
        evictable: [S] bool, which slots are to be noted.
    """

    def __init__(self, touched: Tensor, evictable: Tensor) -> None:
        slots = torch.nonzero(evictable).squeeze(1)
        commits, order = torch.sort(touched[slots], stable=True)
        blocks = zip(slots[order].split(_BLOCK), commits.split(_BLOCK), strict=True)
        self._notes: deque[tuple[Tensor, Tensor]] = deque(blocks)
        self.length = len(slots)

    def touch(self, slots: Tensor, commit: Tensor) -> None:
        """Note that slots [N] were touched at a commit [], which is later than all before."""
        self._notes.append((slots, commit.expand(len(slots)).clone()))
        self.length += len(slots)

    def oldest(
        self, count: int, reach: float, touched: Tensor, evictable: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Slots [M], M >= count, to which the oldest belong however ages change by ``reach``.

        Args:
            count: how many are wanted; there are as many.
            reach: commits by which the difference of two ages may change.
            touched: [S] int64, as it is now.
            evictable: tells which of slots [N] may be forgotten now: [N] bool.
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
        self._notes.appendleft((slots, commits))  # until they are touched
        self.length += len(slots)
        return slots[commits <= last]


def noise(slots: Tensor, seed: int, commit: int) -> Tensor:
    """Numbers in [0, 1), one for each slot [N] int64, the same on every machine: [N] float64.

    A slot's number depends on the seed, the commit and the slot alone.
    """
    start = _scrambled_int(_scrambled_int(seed & _MASK) ^ (commit & _MASK))
    numbers = slots * _signed(_STEP) + _signed(start)  # wraps around, as it should
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
    """The int64 of the same bits."""
    return number - (1 << 64) if number >> 63 else number


def _shifted(numbers: Tensor, bits: int) -> Tensor:
    """Bits moved to the right, zeros from the left: torch knows no unsigned 64-bit integers."""
    return (numbers >> bits) & ((1 << (64 - bits)) - 1)
