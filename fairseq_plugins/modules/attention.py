"""Attention of all decoder steps to all encoder states in one product."""

import math

import torch
from torch import Tensor, nn


class ScaledDotAttention(nn.Module):
    """score(q, h) = (W_q norm(q)) . (W_k norm(h)) / sqrt(dim) (Vaswani et al. 2017, one head).

    The outputs of an untrained LSTM are small. Without layer normalisation, all scores are nearly
    equal at first, and the attention takes epochs to form.
    """

    def __init__(self, query_dim: int, source_dim: int, dim: int) -> None:
        super().__init__()
        self.query_norm, self.key_norm = nn.LayerNorm(query_dim), nn.LayerNorm(source_dim)
        self.query = nn.Linear(query_dim, dim, bias=False)
        self.key = nn.Linear(source_dim, dim, bias=False)
        self.scale = 1 / math.sqrt(dim)

    def keys(self, source: Tensor) -> Tensor:
        """Compute keys [batch, source, dim] of encoder states [source, batch, source_dim], once."""
        return self.key(self.key_norm(source)).transpose(0, 1)

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """Score [time, batch, query_dim] against [batch, source, dim] -> [batch, time, source]."""
        query = self.query(self.query_norm(query))
        return torch.bmm(query.transpose(0, 1) * self.scale, keys.transpose(1, 2))


class NormalizedAttention(nn.Module):
    """score(q, h) = g (v / |v|) . tanh(W_q q + W_k h + b), as in the published GNMT.

    Additive attention (Bahdanau et al. 2015) with its vector v normalised (Salimans and Kingma
    2016); g starts at 1 / sqrt(dim).
    """

    def __init__(self, query_dim: int, source_dim: int, dim: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_dim, dim, bias=False)
        self.key = nn.Linear(source_dim, dim, bias=False)
        self.vector = nn.Parameter(torch.empty(dim).uniform_(-0.1, 0.1))
        self.gain = nn.Parameter(torch.tensor(1 / math.sqrt(dim)))
        self.bias = nn.Parameter(torch.zeros(dim))

    def keys(self, source: Tensor) -> Tensor:
        """Compute keys [batch, source, dim] of encoder states [source, batch, source_dim], once."""
        return (self.key(source) + self.bias).transpose(0, 1)

    def scores(self, query: Tensor, keys: Tensor) -> Tensor:
        """Score [time, batch, query_dim] against [batch, source, dim] -> [batch, time, source]."""
        queries = self.query(query).transpose(0, 1).unsqueeze(2)  # [batch, time, 1, dim]
        vector = self.gain * self.vector / self.vector.norm()
        return torch.tanh(queries + keys.unsqueeze(1)) @ vector.to(keys.dtype)


ATTENTIONS: dict[str, type[ScaledDotAttention] | type[NormalizedAttention]] = {
    "scaled-dot": ScaledDotAttention,
    "normalized": NormalizedAttention,
}


class Attention(nn.Module):
    """Computes weights over the source, and the resulting context.

    Args:
        kind: a name in ``ATTENTIONS``.
        query_dim: width of the decoder states that attend.
        source_dim: width of the encoder states.
        dim: width in which both are compared.
    """

    score: ScaledDotAttention | NormalizedAttention

    def __init__(self, kind: str, query_dim: int, source_dim: int, dim: int) -> None:
        super().__init__()
        if kind not in ATTENTIONS:
            raise ValueError(f"attention {kind!r} is not one of {', '.join(ATTENTIONS)}")
        self.score = ATTENTIONS[kind](query_dim, source_dim, dim)

    def forward(
        self, query: Tensor, keys: Tensor, source: Tensor, padding: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Attend to the source.

        Args:
            query: [time, batch, query_dim].
            keys: ``self.score.keys(source)``, [batch, source, dim].
            source: [source, batch, source_dim].
            padding: [batch, source] bool, True where there is no token.

        Returns:
            Contexts [time, batch, source_dim] and weights [batch, time, source].
        """
        scores = self.score.scores(query, keys).float()
        scores = scores.masked_fill(padding.unsqueeze(1), -torch.inf)
        weights = torch.softmax(scores, dim=-1)  # [batch, time, source]
        context = torch.bmm(weights.to(source.dtype), source.transpose(0, 1))
        return context.transpose(0, 1), weights


def attention_on_the_right(attention: Tensor, before: Tensor) -> Tensor:
    """Order attention as if sources were padded on the right.

    Models may move padding from the left to the right, or leave it. Padding gets no attention, so
    this can be seen.

    Args:
        attention: [batch, time, source], as a model returns it.
        before: [batch] int64, tokens of padding on the left of each source.
    """
    if not bool(before.any()):
        return attention
    places = torch.arange(attention.shape[2], device=attention.device)  # [source]
    on_padding = attention.masked_fill(places >= before[:, None, None], 0.0)
    left = before.masked_fill(on_padding.flatten(1).any(dim=1), 0)  # 0 where they were moved
    order = (places + left.unsqueeze(1)) % len(places)  # [batch, source]
    return attention.gather(2, order.unsqueeze(1).expand_as(attention))
