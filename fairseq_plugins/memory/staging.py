"""Pairs that wait until a memory commits them, all together."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True)
class StagedPairs:
    """What was staged at one time.

    Attributes:
        query: [N, D], unit vectors.
        target: [N] int64.
        origin: [N] int64.
        merge_slot: [N] int64, the best slot if it holds the target, else -1.
    """

    query: Tensor
    target: Tensor
    origin: Tensor
    merge_slot: Tensor

    def parts(self) -> tuple[Tensor, ...]:
        """Return the fields in their order."""
        return tuple(getattr(self, field.name) for field in fields(self))


class Staging(list[StagedPairs]):
    """All pairs that were staged since the last commit."""

    def add(self, pairs: StagedPairs, chosen: Tensor | None) -> None:
        """Stage copies of some pairs.

        Args:
            pairs: of which.
            chosen: [N] bool; None means all.
        """
        rows = slice(None) if chosen is None else chosen
        self.append(StagedPairs(*(part[rows].clone() for part in pairs.parts())))

    def take(self, keys: Tensor) -> tuple[Tensor, ...]:
        """Return all pairs in one, part by part, and stage none any more.

        Args:
            keys: [S, D], of the memory; tells the width and the device if there are no pairs.
        """
        if not self:
            none = keys.new_empty(0, dtype=torch.int64)
            return keys.new_empty(0, keys.shape[1]), none, none, none
        parts = tuple(torch.cat(part) for part in zip(*(p.parts() for p in self), strict=True))
        self.clear()
        return parts
