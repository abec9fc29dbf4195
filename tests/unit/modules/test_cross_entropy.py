"""Log-probabilities from logits against torch's log_softmax."""

import pytest
import torch
from torch import Tensor

from fairseq_plugins.modules.cross_entropy import ROWS, token_log_probs

VOCABULARY = 37
SIZES = [0, 1, ROWS, 2 * ROWS + 5]  # none, one, a whole block, a block begun


def reference(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    log_probs = torch.log_softmax(logits.float(), dim=1)
    return log_probs.gather(1, target.unsqueeze(1)).squeeze(1), log_probs.mean(dim=1)


def example(rows: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    logits = (5 * torch.randn(rows, VOCABULARY)).to(dtype).requires_grad_()
    return logits, torch.randint(VOCABULARY, (rows,))


def gradient(outputs: tuple[Tensor, Tensor], weights: Tensor, logits: Tensor) -> Tensor:
    """Of a sum in which every row weighs differently, and both outputs count."""
    total = (outputs[0] * weights[0]).sum() + (outputs[1] * weights[1]).sum()
    return torch.autograd.grad(total, logits)[0]


@pytest.mark.parametrize("rows", SIZES)
def test_values_equal_log_softmax(rows: int) -> None:
    logits, target = example(rows)
    torch.testing.assert_close(token_log_probs(logits, target), reference(logits, target))


@pytest.mark.parametrize("rows", SIZES)
def test_gradients_equal_those_of_log_softmax(rows: int) -> None:
    logits, target = example(rows)
    weights = torch.randn(2, rows)
    ours = gradient(token_log_probs(logits, target), weights, logits)
    torch.testing.assert_close(ours, gradient(reference(logits, target), weights, logits))


def test_backward_leaves_the_logits_as_they_were() -> None:
    logits, target = example(ROWS + 1)
    before = logits.detach().clone()
    token_log_probs(logits, target)[0].sum().backward()
    assert torch.equal(logits, before)


@pytest.mark.parametrize("which", [0, 1])
def test_either_output_may_stay_unused(which: int) -> None:
    logits, target = example(9)
    ours = torch.autograd.grad(token_log_probs(logits, target)[which].sum(), logits)
    theirs = torch.autograd.grad(reference(logits, target)[which].sum(), logits)
    torch.testing.assert_close(ours, theirs)


def test_bfloat16_logits_are_reckoned_in_float32() -> None:
    logits, target = example(2 * ROWS + 5, torch.bfloat16)
    ours = token_log_probs(logits, target)
    assert ours[0].dtype == ours[1].dtype == torch.float32
    torch.testing.assert_close(ours, reference(logits, target))


def test_gradient_of_bfloat16_logits_is_the_rounded_float32_one() -> None:
    logits, target = example(ROWS + 1, torch.bfloat16)
    weights = torch.randn(2, ROWS + 1)
    ours = gradient(token_log_probs(logits, target), weights, logits)
    exact = logits.detach().float().requires_grad_()
    expected = gradient(reference(exact, target), weights, exact)
    assert ours.dtype == torch.bfloat16
    torch.testing.assert_close(ours.float(), expected, rtol=2**-8, atol=1e-6)


def test_huge_logits_stay_finite() -> None:
    logits = torch.tensor([[3e4, -3e4, 0.0]], requires_grad=True)
    log_prob, mean = token_log_probs(logits, torch.tensor([1]))
    (log_prob + mean).sum().backward()
    assert log_prob.item() == -6e4
    assert logits.grad is not None and bool(torch.isfinite(logits.grad).all())
