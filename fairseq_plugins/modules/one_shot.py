"""Learning to tell classes apart from one example, and telling them apart.

All vectors are compared by their cosine, in float32.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def neighborhood_loss(query: Tensor, target: Tensor, temperature: float) -> Tensor:
    """Neighbourhood component analysis within a batch (Goldberger et al. 2004).

    Each vector chooses another one with probability p_ij = softmax_j(cos(q_i, q_j) / temperature),
    j != i; the loss is the negative logarithm of the probability that both are of one class.

    Args:
        query: [N, D].
        target: [N] int64, classes.
        temperature: of the softmax.

    Returns:
        [N] float32; 0 for a class with a single vector.
    """
    unit = F.normalize(query.float(), dim=1)
    itself = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    with torch.autocast(unit.device.type, enabled=False):
        logits = (unit @ unit.t() / temperature).masked_fill(itself, -torch.inf)  # [N, N]
    same = (target.unsqueeze(1) == target) & ~itself
    alone = ~same.any(dim=1)
    right = logits.masked_fill(~(same | alone.unsqueeze(1)), -torch.inf)
    return torch.logsumexp(logits, dim=1) - torch.logsumexp(right, dim=1)


def classify(query: Tensor, support: Tensor, temperature: float) -> Tensor:
    """The class of each query, by the weighted votes of what was shown.

    What a memory answers to which all of ``support`` was written in one commit, if k is not less:
    each key votes for its class with softmax(temperature x cos).

    Args:
        query: [..., Q, D].
        support: [..., ways, shots, D], a row of examples for each class.
        temperature: t, of the votes.

    Returns:
        [..., Q] int64, rows of ``support``.
    """
    ways, shots = support.shape[-3:-1]
    keys = F.normalize(support.float(), dim=-1).flatten(-3, -2)  # [..., ways x shots, D]
    with torch.autocast(keys.device.type, enabled=False):
        similarity = F.normalize(query.float(), dim=-1) @ keys.transpose(-1, -2)
    votes = torch.softmax(temperature * similarity, dim=-1)  # [..., Q, ways x shots]
    return votes.unflatten(-1, (ways, shots)).sum(-1).argmax(-1)
