"""Learning to distinguish classes from one example, and classifying with a memory.

All vectors are compared by their cosine, in float32.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_plugins.memory import KeyValueMemory

NEAREST, VOTE = RULES = ("nearest", "vote")  # rules by which the slots of a memory name a class


def neighborhood_loss(query: Tensor, target: Tensor, temperature: float) -> Tensor:
    """Compute neighbourhood component analysis within a batch (Goldberger et al. 2004).

    Each vector chooses another one with probability p_ij = softmax_j(cos(q_i, q_j) / temperature),
    j != i. The loss is the negative logarithm of the probability that both belong to one class.

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


def name_classes(memory: KeyValueMemory, query: Tensor, rule: str) -> Tensor:
    """Return the class that a memory, whose values are classes, assigns to each query.

    Args:
        memory: whose k nearest slots answer.
        query: [N, D].
        rule: ``nearest``, the class of the nearest slot (Kaiser et al. 2017); ``vote``, the class
            whose slots have the largest sum of weights. With one slot per class, both are the same.

    Returns:
        [N] int64.

    Raises:
        ValueError: if there is no such rule.
    """
    hits = memory.query(query)
    if rule == NEAREST:
        return hits.values[:, 0]
    if rule != VOTE:
        raise ValueError(f"rule {rule!r} is not one of {', '.join(RULES)}")
    votes = hits.weights.new_zeros(len(query), memory.num_values)
    # Neighbours that are missing have no weight.
    return votes.scatter_add(1, hits.values.clamp(min=0), hits.weights).argmax(1)
