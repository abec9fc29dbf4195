"""LSTM layers that process whole sequences with one kernel each.

Everything is time-major ([time, batch, dim]), the layout of torch's LSTM kernels. Sequences are
padded on the right, after everything that a forward LSTM computes; for the backward direction,
each sequence is reversed within its own length. So padding never changes a result, and no packing
is needed.
"""

import torch
from torch import Tensor, nn

State = list[tuple[Tensor, Tensor]]  # per layer: hidden and cell, each [1, batch, units]


class Dropout(nn.Module):
    """Dropout on [time, batch, dim], with the same mask for all time steps if ``variational``.

    Variational dropout: Gal and Ghahramani, 2016, "A Theoretically Grounded Application of
    Dropout in Recurrent Neural Networks".
    """

    def __init__(self, p: float, variational: bool = False) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, not {p}")
        self.p, self.variational = p, variational

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        # Drawing bytes costs a quarter of drawing floats, and takes most of the time of dropout.
        shape = (1, *x.shape[1:]) if self.variational else x.shape
        threshold = min(round(256 * self.p), 255)
        keep = torch.randint(0, 256, shape, dtype=torch.uint8, device=x.device) >= threshold
        return x * keep.to(x.dtype).mul_(256 / (256 - threshold))

    def extra_repr(self) -> str:
        return f"p={self.p}, variational={self.variational}"


class LSTMStack(nn.Module):
    """Unidirectional LSTM layers with residual connections (Wu et al. 2016, section 3.1).

    Args:
        input_dim: width of the input of the first layer.
        units: width of every layer.
        layers: number of layers.
        dropout: applied to the input of every layer.
        context_dim: width of a context that every layer receives in addition to its input.
        residual: whether to add the input of every layer but the first to its output.
    """

    def __init__(
        self,
        input_dim: int,
        units: int,
        layers: int,
        dropout: Dropout,
        context_dim: int = 0,
        residual: bool = True,
    ) -> None:
        super().__init__()
        widths = [input_dim] + [units] * (layers - 1)
        self.layers = nn.ModuleList(nn.LSTM(width + context_dim, units) for width in widths)
        self.dropout, self.residual = dropout, residual

    def forward(
        self, x: Tensor, context: Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, State]:
        """Process a sequence, or one step of it.

        Args:
            x: [time, batch, input_dim].
            context: [time, batch, context_dim].
            state: of each layer before the first step; zero if None.

        Returns:
            The last layer's outputs [time, batch, units], and the state after the last step.
        """
        after: State = []
        for i, layer in enumerate(self.layers):
            inputs = self.dropout(x)
            if context is not None:
                inputs = torch.cat([inputs, context], dim=-1)
            output, hidden = _run(layer, inputs, None if state is None else state[i])
            x = output + x if self.residual and i > 0 else output
            after.append(hidden)
        return x, after


def _run(
    layer: nn.Module, x: Tensor, state: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Run one layer over [time, batch, dim]; return its outputs and its state after the last step.

    On a CPU, torch's LSTM kernel first rearranges all weights. For a single step of few sentences
    that takes longer than the step, which is then computed without it.
    """
    assert isinstance(layer, nn.LSTM)
    steps, rows, _ = x.shape
    plain = x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    if state is None or steps > 1 or 2 * rows > layer.hidden_size or not plain:
        output, state = layer(x, state)
        return output, state
    hidden, cell = torch.lstm_cell(x[0], (state[0][0], state[1][0]), *layer.parameters())
    return hidden.unsqueeze(0), (hidden.unsqueeze(0), cell.unsqueeze(0))


class BidirectionalLSTM(nn.Module):
    """A forward and a backward LSTM in parallel, for right-padded sequences of any length."""

    def __init__(self, input_dim: int, units: int) -> None:
        super().__init__()
        self.forward_layer = nn.LSTM(input_dim, units)
        self.backward_layer = nn.LSTM(input_dim, units)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Process [time, batch, input_dim] with lengths [batch] -> [time, batch, 2 * units]."""
        turned = reversal(lengths, len(x)).unsqueeze(-1)  # [time, batch, 1]
        forwards, _ = self.forward_layer(x)
        backwards, _ = self.backward_layer(take_time(x, turned))
        return torch.cat([forwards, take_time(backwards, turned)], dim=-1)


def reversal(lengths: Tensor, time: int) -> Tensor:
    """Return time indices [time, batch] that reverse every sequence and keep its padding."""
    steps = torch.arange(time, device=lengths.device).unsqueeze(1)
    mirrored = lengths.unsqueeze(0) - 1 - steps
    return torch.where(mirrored >= 0, mirrored, steps)


def take_time(x: Tensor, index: Tensor) -> Tensor:
    """Return x[index[t, b, 0], b] for all t, b: [time, batch, dim], [time, batch, 1]."""
    return x.gather(0, index.expand(-1, -1, x.shape[-1]))
