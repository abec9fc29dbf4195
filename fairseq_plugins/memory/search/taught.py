"""Exact search among the slots that were taught, in copies of their keys.

So its time depends on the lessons, and not on the slots beside them. The copies have the order of
the slots, so ties go to the lower slot. A lesson in higher slots than all before, the usual case,
is appended; one that is forgotten leaves a gap, which only the same slot fills again. After any
other change, all keys are copied again.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_plugins.memory.config import MemoryConfig
from fairseq_plugins.memory.hits import NOTHING
from fairseq_plugins.memory.search.exact import ExactSearch

_SPARE = 8  # copies have this share of their number as free space, so that they seldom move
_FILLED = 0


class TaughtSlots:
    """A search among the pinned slots of a memory.

    Args:
        config: of the memory.
    """

    def __init__(self, config: MemoryConfig) -> None:
        self._config = config
        self._news: list[Tensor] | None = None  # changed slots to look at; None for all

    def update(self, keys: Tensor, pinned: Tensor, changed: Tensor | None) -> None:
        """Set the contents of the memory.

        Args:
            keys: [S, D].
            pinned: [S] bool, which slots to search among.
            changed: [C] int64, the only slots that differ from the last call; None for any slots.
        """
        self._keys, self._pinned = keys, pinned
        if changed is None:
            self._news = None
        elif self._news is not None:
            self._news.append(changed)

    @torch.inference_mode(False)  # the copies must outlive a caller's inference mode
    def search(self, unit: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return similarities and slots [N, k] of the nearest; -inf and -1 where there are none."""
        if self._news is None:
            self._copy()
        elif self._news:  # on demand, because lessons are often taught in a row
            self._follow(torch.cat(self._news).unique())
        self._news = []
        similarities, rows = self._search.search(unit, k)
        if not len(self._slots):
            return similarities, rows  # -1
        return similarities, self._slots[rows.clamp(min=0)].masked_fill(rows == NOTHING, NOTHING)

    def _copy(self) -> None:
        """Copy all keys."""
        self._slots = torch.nonzero(self._pinned).squeeze(1)  # [R], of the rows, ascending
        self._rows = self._keys[self._slots]  # [R, D], and free space behind
        self._values = torch.full_like(self._slots, _FILLED)
        self._search = ExactSearch(self._config.search_dtype, self._config.search_budget_mb)
        self._search.update(self._rows, self._values)

    def _follow(self, changed: Tensor) -> None:
        """Copy the keys of the only slots [C] that were taught, changed or forgotten."""
        count = len(self._slots)
        rows = torch.searchsorted(self._slots, changed)
        known = F.pad(self._slots, (0, 1), value=NOTHING)[rows] == changed
        new = changed[~known & self._pinned[changed]]
        if len(new) and bool((new[0] < self._slots[-1:]).any()):
            self._copy()
            return
        self._slots = torch.cat([self._slots, new])
        if len(self._slots) > len(self._rows):
            more = len(self._slots) + len(self._slots) // _SPARE - len(self._rows)
            self._rows = F.pad(self._rows, (0, 0, 0, more))
            self._values = F.pad(self._values, (0, more), value=NOTHING)
        rows = torch.cat([rows[known], torch.arange(count, len(self._slots), device=rows.device)])
        slots = self._slots[rows]
        self._rows[rows] = self._keys[slots]
        self._values[rows] = torch.where(self._pinned[slots], _FILLED, NOTHING)
        self._search.update(self._rows, self._values, rows)
