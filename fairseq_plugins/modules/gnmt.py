"""Encoder and decoder of GNMT (Wu et al. 2016), on whole sequences.

The first decoder layer's output queries the attention of the same step, whose context is fed to all
layers above ("v2" attention). So training and forced decoding run layer by layer over the whole
sequence; only generation proceeds token by token.

Two changes from the paper let the attention form in the first epoch on small corpora, where it
otherwise takes five: embeddings are scaled to variance 1, and every encoder state includes the
embedding of its word.
"""

import math

import torch
from torch import Tensor, nn

from fairseq_plugins.modules.attention import Attention, NormalizedAttention
from fairseq_plugins.modules.lstm import BidirectionalLSTM, Dropout, LSTMStack, State, take_time


class GNMTEncoderLayers(nn.Module):
    """A bidirectional layer, then residual unidirectional ones.

    Args:
        embedding: of the source tokens.
        units: of every layer and direction.
        layers: number of layers, including the first one.
        dropout: shared by all layers.
        forwards: make the first layer unidirectional as well, so that no state contains later
            words.
    """

    def __init__(
        self,
        embedding: nn.Embedding,
        units: int,
        layers: int,
        dropout: Dropout,
        forwards: bool = False,
    ) -> None:
        super().__init__()
        self.embedding, self.dropout = embedding, dropout
        self.bidirectional = self.forwards = None
        if forwards:
            self.forwards = nn.LSTM(embedding.embedding_dim, units)
        else:
            self.bidirectional = BidirectionalLSTM(embedding.embedding_dim, units)
        width = units if forwards else 2 * units
        self.output_dim = width if layers == 1 else units
        self.upper = LSTMStack(width, units, layers - 1, dropout) if layers > 1 else None

    def forward(self, tokens: Tensor, padding: Tensor) -> Tensor:
        """Encode right-padded tokens and padding [batch, time] -> [time, batch, output_dim]."""
        words = self.dropout(embed(self.embedding, tokens))  # [time, batch, embedding]
        if self.forwards is not None:
            x, _ = self.forwards(words)
        else:
            assert self.bidirectional is not None  # one of them exists
            x = self.bidirectional(words, (~padding).sum(dim=1))
        if self.upper is not None:
            x, _ = self.upper(x)
        # Every state includes its word, so that attention finds it before the LSTMs have learned
        # to.
        return x + words.repeat(1, 1, self.output_dim // words.shape[-1])


class GNMTDecoderLayers(nn.Module):
    """The first layer, which queries the attention, and residual layers that receive its answer.

    Args:
        embedding: of the target tokens.
        source_dim: width of the encoder states.
        units: of every layer.
        layers: number of layers, including the first one.
        attention: a name in ``ATTENTIONS``.
        dropout: shared by all layers.
        output_dim: width of the state from which the logits are computed.
    """

    def __init__(
        self,
        embedding: nn.Embedding,
        source_dim: int,
        units: int,
        layers: int,
        attention: str,
        dropout: Dropout,
        output_dim: int,
    ) -> None:
        super().__init__()
        self.embedding, self.dropout, self.source_dim = embedding, dropout, source_dim
        self.first = LSTMStack(embedding.embedding_dim, units, 1, dropout)
        self.attention = Attention(attention, units, source_dim, units)
        self.upper = (
            LSTMStack(units, units, layers - 1, dropout, context_dim=source_dim)
            if layers > 1
            else None
        )
        self.readout = nn.Linear(units + source_dim, output_dim)

    def forward(
        self,
        tokens: Tensor,
        source: Tensor,
        source_keys: Tensor,
        source_padding: Tensor,
        state: tuple[State, State] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, tuple[State, State]]:
        """Run over whole target prefixes, or continue from ``state``.

        Args:
            tokens: [batch, time].
            source: [source, batch, source_dim].
            source_keys: of the attention, [batch, source, units].
            source_padding: [batch, source] bool.
            state: of the first and of the upper layers.

        Returns:
            Output states [batch, time, output_dim], contexts [batch, time, source_dim],
            attention weights [batch, time, source], and the layers' states after the last step.
        """
        x = embed(self.embedding, tokens)
        first, upper = (None, None) if state is None else state
        x, first = self.first(x, state=first)
        context, weights = self.attention(x, source_keys, source, source_padding)
        upper_after: State = []
        if self.upper is not None:
            x, upper_after = self.upper(x, context, upper)
        x = torch.cat([self.dropout(x), self.dropout(context)], dim=-1)
        output = torch.tanh(self.readout(x)).transpose(0, 1)  # [batch, time, output_dim]
        return output, context.transpose(0, 1), weights, (first, upper_after)


def embed(embedding: nn.Embedding, tokens: Tensor) -> Tensor:
    """Embed tokens [batch, time] -> [time, batch, dim], with variance 1 initially.

    The softmax, which may share the embeddings, needs them small, but an LSTM does not learn from
    inputs that barely move its gates.
    """
    return embedding(tokens.t()) * math.sqrt(embedding.embedding_dim)


def pad_on_the_right(tokens: Tensor, pad: int) -> Tensor:
    """Move left padding of [batch, time] tokens to the right."""
    padding = tokens == pad
    if not bool(padding[:, 0].any()):
        return tokens
    steps = torch.arange(tokens.shape[1], device=tokens.device)
    index = (steps + padding.sum(dim=1, keepdim=True)) % tokens.shape[1]
    return take_time(tokens.t().unsqueeze(-1), index.t().unsqueeze(-1)).squeeze(-1).t()


def initialize(module: nn.Module, embeddings: list[nn.Embedding], scale: float) -> None:
    """Initialise weights uniformly in [-scale, scale], as in GNMT.

    Normalisation layers keep their own initialisation. With scale 0, every weight of a layer is
    uniform in +-1/sqrt(its units), and embeddings are normal with standard deviation 1/sqrt(their
    width), which learns faster from little data.
    """
    if scale > 0:
        for part in module.modules():
            if not isinstance(part, nn.LayerNorm | NormalizedAttention):
                for parameter in part.parameters(recurse=False):
                    nn.init.uniform_(parameter, -scale, scale)
    for embedding in embeddings:
        if scale == 0:
            nn.init.normal_(embedding.weight, std=embedding.embedding_dim**-0.5)
        if embedding.padding_idx is not None:
            nn.init.zeros_(embedding.weight[embedding.padding_idx])
