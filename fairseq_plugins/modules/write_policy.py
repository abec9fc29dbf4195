"""Selects which tokens of a text are written to the memory."""

import torch
from torch import Tensor

POLICIES = ("all", "surprise", "rare")


class WritePolicy:
    """Selects tokens to remember.

    Args:
        kind: ``all`` tokens; ``surprise``, those to which the model assigned a probability below
            ``surprise``; ``rare``, those that occur fewer than ``rare`` times in training.
        surprise: a probability.
        rare: a number of occurrences.
        counts: of every token in training, [vocabulary]; needed for ``rare``.
    """

    def __init__(self, kind: str, surprise: float, rare: int, counts: Tensor) -> None:
        if kind not in POLICIES:
            raise ValueError(f"memory write policy {kind!r} is not one of {', '.join(POLICIES)}")
        if not 0 < surprise <= 1:
            raise ValueError(f"memory surprise must be a probability, not {surprise}")
        self.kind, self.surprise = kind, surprise
        self.is_rare = counts < rare

    def __call__(self, target: Tensor, log_prob: Tensor) -> Tensor:
        """Select targets [N], given their log-probabilities [N] -> [N] bool, True to remember."""
        if self.kind == "surprise":
            return log_prob.detach().exp() < self.surprise
        if self.kind == "rare":
            return self.is_rare.to(target.device)[target]
        return torch.ones_like(target, dtype=torch.bool)
