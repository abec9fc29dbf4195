"""Both kinds of attention against plain loops."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_plugins.modules.attention import (
    ATTENTIONS,
    Attention,
    NormalizedAttention,
    ScaledDotAttention,
)

TIME, BATCH, SOURCE, QUERY_DIM, SOURCE_DIM, DIM = 3, 2, 5, 4, 6, 8
LENGTHS = [5, 2]

kinds = pytest.mark.parametrize("kind", list(ATTENTIONS))


def attention(kind: str) -> Attention:
    """With nothing left at a value that hides it from the tests."""
    module = Attention(kind, QUERY_DIM, SOURCE_DIM, DIM)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return module


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    """Queries, encoder states, padding."""
    padding = torch.arange(SOURCE) >= torch.tensor(LENGTHS).unsqueeze(1)  # [batch, source]
    return torch.randn(TIME, BATCH, QUERY_DIM), torch.randn(SOURCE, BATCH, SOURCE_DIM), padding


def score_by_hand(score: torch.nn.Module, query: Tensor, state: Tensor) -> Tensor:
    """Return one score of one query [query_dim] and one encoder state [source_dim]."""
    if isinstance(score, NormalizedAttention):
        vector = score.gain * score.vector / score.vector.pow(2).sum().sqrt()
        inner = score.query.weight @ query + score.key.weight @ state + score.bias
        return (vector * torch.tanh(inner)).sum()
    assert isinstance(score, ScaledDotAttention)
    query_norm, key_norm = score.query_norm, score.key_norm
    query = F.layer_norm(query, query.shape, query_norm.weight, query_norm.bias)
    state = F.layer_norm(state, state.shape, key_norm.weight, key_norm.bias)
    return (score.query.weight @ query) @ (score.key.weight @ state) / math.sqrt(DIM)


@kinds
def test_weights_and_contexts_equal_a_plain_loop(kind: str) -> None:
    module = attention(kind)
    query, source, padding = inputs()
    context, weights = module(query, module.score.keys(source), source, padding)
    for step in range(TIME):
        for row, length in enumerate(LENGTHS):
            scores = torch.stack(
                [
                    score_by_hand(module.score, query[step, row], source[place, row])
                    for place in range(length)
                ]
            )
            expected = scores.exp() / scores.exp().sum()
            torch.testing.assert_close(weights[row, step, :length], expected)
            mean = sum(expected[place] * source[place, row] for place in range(length))
            torch.testing.assert_close(context[step, row], mean)


@kinds
def test_weights_sum_to_one_and_are_zero_on_padding(kind: str) -> None:
    module = attention(kind)
    query, source, padding = inputs()
    _, weights = module(query, module.score.keys(source), source, padding)
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(BATCH, TIME))
    assert bool((weights.masked_select(padding.unsqueeze(1)) == 0).all())


@kinds
def test_what_stands_in_padding_does_not_matter(kind: str) -> None:
    module = attention(kind)
    query, source, padding = inputs()
    other = source.masked_fill(padding.t().unsqueeze(-1), 1e3)
    context, _ = module(query, module.score.keys(source), source, padding)
    same, _ = module(query, module.score.keys(other), other, padding)
    torch.testing.assert_close(same, context)


@kinds
def test_every_parameter_learns(kind: str) -> None:
    module = attention(kind)
    query, source, padding = inputs()
    context, _ = module(query, module.score.keys(source), source, padding)
    context.pow(2).sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and bool(parameter.grad.any()), name


@kinds
def test_large_scores_do_not_overflow_in_bfloat16(kind: str) -> None:
    module = attention(kind).to(torch.bfloat16)
    query, source, padding = inputs()
    query, source = (1e3 * query).bfloat16(), (1e3 * source).bfloat16()
    context, weights = module(query, module.score.keys(source), source, padding)
    assert context.dtype == torch.bfloat16 and weights.dtype == torch.float32
    assert bool(torch.isfinite(context).all())


def test_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'dot' is not one of scaled-dot, normalized"):
        Attention("dot", 1, 1, 1)
