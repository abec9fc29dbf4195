"""Says how far lessons are trusted, and mixes them in.

The learned gate has not seen the slots of lessons, and a lesson should be followed where its own
sentence occurs again and ignored elsewhere. Therefore they are trusted by similarity alone. With
the distance d = 1 - q . K of the nearest one, and d' of the nearest slot of any kind with another
value,

    h = LESSON max(0, 1 - d / D),    D = min(1 - LIKE, CLOSER d')

A lesson is related to the sentence if most of the lesson's rare source words occur in it. Then the
lesson is trusted from farther away: D = min(1 - RELATED_LIKE, RELATED_CLOSER d').

    p(y) = (1 - h) p'(y) + h sum_{j: V_j = y} v_j

where p' is the mixture without lessons, j are the neighbours that were taught, and v is a softmax
of -SHARPNESS d / D.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fairseq_plugins.memory import MemoryHits
from fairseq_plugins.modules.mixing import mix_neighbours, mix_target

# Chosen on sets of lessons (docs/memory.md has the table).
LESSON = 0.9999
LIKE = 0.998
CLOSER = 0.05  # how much nearer than any other value: some networks make all queries alike
RELATED_LIKE = 0.7
RELATED_CLOSER = 0.6
SHARPNESS = 12.0
_SMALLEST, _LARGEST = 1e-7, 1e30


@dataclass(frozen=True)
class LessonShares:
    """How far lessons are trusted at N positions.

    Attributes:
        share: [N, 1], h.
        weights: [N, k], v; 0 for slots that were not taught.
    """

    share: Tensor
    weights: Tensor

    def mix(self, log_probs: Tensor, values: Tensor) -> Tensor:
        """Mix lessons into log-probabilities [N, vocabulary]; without a share, nothing changes.

        Without gradients, ``log_probs`` is overwritten with the result.

        Args:
            log_probs: of everything else.
            values: [N, k], of the neighbours.
        """
        followed = self.share.squeeze(1).nonzero().squeeze(1)  # few, except in a lesson itself
        if not len(followed):
            return log_probs
        gate, weights = torch.logit(self.share[followed, 0]), self.weights[followed].log()
        mixed = mix_neighbours(log_probs[followed], values[followed], weights, gate)
        if torch.is_grad_enabled():
            return log_probs.index_copy(0, followed, mixed)
        return log_probs.index_copy_(0, followed, mixed)

    def mix_target(self, log_prob: Tensor, target: Tensor, values: Tensor) -> Tensor:
        """Return log p(target) [N] of the mixture, given that of everything else [N]."""
        mixed = mix_target(
            log_prob, target, values, self.weights.log(), torch.logit(self.share.squeeze(1))
        )
        return torch.where(self.share.squeeze(1) > 0, mixed, log_prob)


def lesson_shares(hits: MemoryHits, taught: Tensor, related: Tensor) -> LessonShares:
    """Say how far lessons are trusted.

    Args:
        hits: k answers to each of N queries.
        taught: [N, k] bool, which of them are slots of lessons.
        related: [N, k] bool, which of them are slots of lessons that are related to the sentence.
    """
    distance = 1 - hits.similarities
    like, closer = (
        torch.where(related, near, far) for near, far in
        ((1 - RELATED_LIKE, 1 - LIKE), (RELATED_CLOSER, CLOSER))
    )  # fmt: skip
    place = (distance / like).masked_fill(~taught, _LARGEST).argmin(dim=1, keepdim=True)
    others = hits.values != hits.values.gather(1, place)  # or missing, and infinitely far
    rival = distance.masked_fill(~others, 2.0).amin(dim=1, keepdim=True)  # [N, 1]
    far = torch.minimum(like, closer * rival).clamp(min=_SMALLEST)
    scaled = (distance / far).masked_fill(~taught, _LARGEST)
    share = LESSON * (1 - scaled.gather(1, place)).clamp(0.0, 1.0)
    weights = torch.softmax(-SHARPNESS * scaled, dim=1).masked_fill(~taught, 0.0)
    return LessonShares(share, weights / weights.sum(dim=1, keepdim=True).clamp(min=_SMALLEST))
