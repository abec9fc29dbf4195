"""The answers of a memory, and its report on a commit."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

NOTHING = -1  # the value of an empty slot, and the slot of a neighbour that does not exist


@dataclass(frozen=True)
class MemoryHits:
    """The k nearest slots of each of N queries, best first.

    If fewer than k slots are filled, the remaining neighbours have value -1, similarity -inf, slot
    -1 and weight 0.

    Attributes:
        values: [N, k] int64, V[slots].
        similarities: [N, k] float32, q . K[slots]; differentiable in the query.
        slots: [N, k] int64.
        weights: [N, k] float32, softmax over k of t * similarities.
    """

    values: Tensor
    similarities: Tensor
    slots: Tensor
    weights: Tensor

    def without(self, some: Tensor) -> "MemoryHits":
        """Return a copy in which some neighbours [N, k] bool are missing."""
        return MemoryHits(
            self.values.masked_fill(some, NOTHING),
            self.similarities.masked_fill(some, -torch.inf),
            self.slots.masked_fill(some, NOTHING),
            self.weights.masked_fill(some, 0.0),
        )

    def select(self, order: Tensor) -> "MemoryHits":
        """Return the neighbours in the order given by indices [N, k]."""
        fields = (self.values, self.similarities, self.slots, self.weights)
        return MemoryHits(*(field.gather(1, order) for field in fields))

    def spread(self, asked: Tensor) -> "MemoryHits":
        """Return answers to M queries of which only some, ``asked`` [M] bool, had answers [N, k].

        The others have no neighbours.
        """
        fields = (
            (self.values, NOTHING),
            (self.similarities, -torch.inf),
            (self.slots, NOTHING),
            (self.weights, 0.0),
        )
        rows = asked.nonzero()[:, 0]
        return MemoryHits(
            *(
                answers.new_full((len(asked), answers.shape[1]), missing).index_copy_(
                    0, rows, answers
                )
                for answers, missing in fields
            )
        )

    @property
    def confidence(self) -> Tensor:
        """Weight of the best neighbour [N]; 0 where the memory is empty."""
        return self.weights[:, 0]


@dataclass(frozen=True)
class CommitReport:
    """Summary of one commit over all ranks."""

    pairs: int = 0
    """Number of staged pairs."""
    merged: int = 0
    """Number of pairs whose best neighbour had the correct value."""
    evicted: int = 0
    """Number of slots that were overwritten."""
    slots: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64), compare=False)
    """[pairs] int64, the slot of each pair, those of rank 0 first; -1 if there was none."""


class Similarities(torch.autograd.Function):
    """Gives q . K[slots], which was found without gradients, its gradient with respect to q.

    ``sum_keys(keys, slots, weights)`` computes sums of keys, each times its weight: [N, D].
    """

    @staticmethod
    def forward(
        ctx: Any,
        unit: Tensor,
        similarities: Tensor,
        slots: Tensor,
        keys: Tensor,
        sum_keys: Callable[[Tensor, Tensor, Tensor], Tensor],
    ) -> Tensor:
        ctx.save_for_backward(slots, keys)
        ctx.sum_keys = sum_keys
        return similarities.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        slots, keys = ctx.saved_tensors
        weights = gradients[0].masked_fill(slots == NOTHING, 0.0)
        return ctx.sum_keys(keys, slots.clamp(min=0), weights), None, None, None, None
