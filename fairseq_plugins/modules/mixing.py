"""Mixes the distribution of a memory's answers into a softmax, in log-probabilities.

p(y) = (1 - g) softmax(z)_y + g sum_{i: V_i = y} w_i
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def mix_target(
    log_prob: Tensor, target: Tensor, values: Tensor, log_weights: Tensor, gate: Tensor
) -> Tensor:
    """Return log p(target) [N] of the mixture of a softmax and a memory.

    Args:
        log_prob: [N], log p(target) of the softmax.
        target: [N].
        values: [N, k], of the neighbours.
        log_weights: [N, k], of the neighbours.
        gate: [N], logit of the memory's share g.
    """
    right = values == target.unsqueeze(1)  # [N, k]
    return _mix(log_prob, masked_logsumexp(log_weights, right), gate)


def mix_neighbours(log_probs: Tensor, values: Tensor, log_weights: Tensor, gate: Tensor) -> Tensor:
    """Mix the distribution of neighbours [N, k] into log-probabilities [N, vocabulary].

    Without gradients, ``log_probs`` is overwritten with the result.
    """
    missing = values < 0  # [N, k]
    # A missing neighbour repeats the first one, which changes nothing.
    values = torch.where(missing, values[:, :1], values).clamp(min=0)
    values, order = values.sort(dim=1, stable=True)
    weights = log_weights.exp().gather(1, order)
    first, of_memory = _sums_of_equal(values, weights)
    of_memory = of_memory.clamp(min=torch.finfo(weights.dtype).tiny).log()
    gate = gate.unsqueeze(1)
    mixed = _mix(log_probs.gather(1, values), of_memory, gate)
    if torch.is_grad_enabled():
        # All slots of a value have the same gradient, so the first of them represents it.
        mixed = torch.where(first, mixed, mixed.detach())
        return (log_probs + F.logsigmoid(-gate)).scatter_(1, values, mixed)
    # A copy of [N, vocabulary] costs as much as a search.
    return log_probs.add_(F.logsigmoid(-gate)).scatter_(1, values, mixed)


def _sums_of_equal(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Add up the weights of equal values in each row.

    Args:
        values: [N, k], each row in ascending order.
        weights: [N, k].

    Returns:
        The first position of each value [N, k] bool, and at each position the sum [N, k] of the
            weights of its value.
    """
    first = torch.ones_like(values, dtype=torch.bool)
    first[:, 1:] = values[:, 1:] != values[:, :-1]
    group = first.cumsum(dim=1) - 1
    sums = torch.zeros_like(weights).scatter_add(1, group, weights)
    return first, sums.gather(1, group)


def masked_logsumexp(log_weights: Tensor, mask: Tensor) -> Tensor:
    """Return log(sum of weights where ``mask``) over the last dimension; -inf if none."""
    masked = log_weights.masked_fill(~mask, -torch.inf)
    none = (masked == -torch.inf).all(dim=-1)
    safe = masked.masked_fill(none.unsqueeze(-1), 0.0)  # avoids NaN in the gradient
    return torch.logsumexp(safe, dim=-1).masked_fill(none, -torch.inf)


def _mix(log_prob: Tensor, of_memory: Tensor, gate: Tensor) -> Tensor:
    """Return log((1 - g) p + g m) for g = sigmoid(gate)."""
    return _logaddexp(F.logsigmoid(-gate) + log_prob, F.logsigmoid(gate) + of_memory)


def _logaddexp(a: Tensor, b: Tensor) -> Tensor:
    """Return log(e^a + e^b), with a gradient even where b = -inf."""
    finite = b.masked_fill(b == -torch.inf, -1e4)
    return torch.logaddexp(a, finite)
