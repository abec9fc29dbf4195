"""Sums of weights in log-probabilities, at their limits; readers test the mixture as a whole."""

import torch

from fairseq_plugins.modules.mixing import masked_logsumexp, mix_neighbours


def test_a_sum_of_nothing_has_a_gradient() -> None:
    log_weights = torch.full((1, 2), -torch.inf, requires_grad=True)
    total = masked_logsumexp(log_weights, torch.ones(1, 2, dtype=torch.bool))
    assert total.item() == -torch.inf
    total.exp().sum().backward()
    assert log_weights.grad is not None and bool(log_weights.grad.isfinite().all())


def test_a_missing_neighbour_changes_nothing() -> None:
    """Also for the first word, if the softmax excludes it."""
    log_probs = torch.tensor([[-torch.inf, 0.5, 0.5]]).log_softmax(dim=1)
    log_weights, gate = torch.tensor([[0.0, -torch.inf]]), torch.zeros(1)
    mixed = mix_neighbours(log_probs, torch.tensor([[2, -1]]), log_weights, gate)
    assert mixed.exp().tolist() == [[0.0, 0.25, 0.75]]
    assert mixed[0, 0].item() == -torch.inf
