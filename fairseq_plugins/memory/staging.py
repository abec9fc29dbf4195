"""Pairs that are staged until a memory commits all of them."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True)
class StagedPairs:
    """Pairs that were staged at the same time.

    Attributes:
        query: [N, D], unit vectors.
        target: [N] int64.
        origin: [N] int64.
        merge_slot: [N] int64, the best slot if its value is the target, otherwise -1.
    """

    query: Tensor
    target: Tensor
    origin: Tensor
    merge_slot: Tensor

    def parts(self) -> tuple[Tensor, ...]:
        """Return the fields in their order."""
        return tuple(getattr(self, field.name) for field in fields(self))


class Staging(list[StagedPairs]):
    """All pairs staged since the last commit."""

    def add(self, pairs: StagedPairs, chosen: Tensor | None) -> None:
        """Stage copies of some pairs.

        Args:
            pairs: to choose from.
            chosen: [N] bool; None for all.
        """
        rows = slice(None) if chosen is None else chosen
        self.append(StagedPairs(*(part[rows].clone() for part in pairs.parts())))

    def take(self, keys: Tensor) -> tuple[Tensor, ...]:
        """Return all staged pairs, field by field, and stage none.

        Args:
            keys: [S, D], of the memory; determines width and device if there are no pairs.
        """
        if not self:
            none = keys.new_empty(0, dtype=torch.int64)
            return keys.new_empty(0, keys.shape[1]), none, none, none
        parts = tuple(torch.cat(part) for part in zip(*(p.parts() for p in self), strict=True))
        self.clear()
        return parts
