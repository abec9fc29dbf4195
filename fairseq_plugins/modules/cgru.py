"""Convolutional gated recurrent units, of which a Neural GPU consists.

Kaiser and Sutskever 2016, "Neural GPUs learn algorithms", equation (1); the tape as in Kaiser and
Bengio 2016, "Can active memory replace attention?", section 2.2:

    CGRU(s; p) = u * s + (1 - u) * c        c = tanh(conv[p, r * s])
    r = sig(conv[p, s] + 1)                 u = sig(conv[p, s] + 1)
    sig(x) = clip(1.2 sigmoid(x) - 0.1, 0, 1)

A convolution over [p, s] is the sum of one over p and one over s. The tape p changes only between
steps, so its part, the *drive*, is made for all units at once: :meth:`CGRUStack.drive`.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KERNEL = 3
GATES = 3  # r, u, c
STRETCH, CUT = 1.2, 0.1  # of the saturating sigmoid


class SaturatingSigmoid(torch.autograd.Function):
    """clip(1.2 sigmoid(x) - 0.1, 0, 1), which can be exactly 0 or 1.

    By hand, because autograd keeps three copies of x and passes over each.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        result = torch.sigmoid(x).mul_(STRETCH).sub_(CUT).clamp_(0, 1)
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (result,) = ctx.saved_tensors
        sigmoid = (result + CUT) / STRETCH
        slope = sigmoid * (1 - sigmoid) * STRETCH
        return gradients[0] * slope.masked_fill_((result <= 0) | (result >= 1), 0)


class CGRU(nn.Module):
    """One unit; r and u come from one convolution.

    Args:
        maps: m, of the state.
    """

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(maps, 2 * maps, KERNEL, padding=KERNEL // 2)
        self.candidate = nn.Conv2d(maps, maps, KERNEL, padding=KERNEL // 2)
        for convolution, bias in ((self.gates, 1.0), (self.candidate, 0.0)):
            assert convolution.bias is not None
            nn.init.constant_(convolution.bias, bias)  # the + 1 of the equations

    def forward(self, state: Tensor, drive: Tensor | None = None) -> Tensor:
        """State [batch, m, n, h] and the tape's part [batch, 3m, n, h] -> the next state."""
        gates = self.gates(state)
        if drive is not None:
            gates = gates + drive[:, : gates.shape[1]]
        reset, update = SaturatingSigmoid.apply(gates).chunk(2, dim=1)
        candidate = self.candidate(reset * state)
        if drive is not None:
            candidate = candidate + drive[:, gates.shape[1] :]
        return torch.lerp(torch.tanh(candidate).to(state.dtype), state, update.to(state.dtype))


class CGRUStack(nn.Module):
    """Several units, applied one after the other.

    Args:
        maps: m.
        layers: how many units.
        dropout: on each unit's input; scaled with 1 / sqrt(n), since a longer state passes
            through more units.
        tape: whether there is a tape, of the state's shape.
    """

    def __init__(self, maps: int, layers: int, dropout: float = 0.0, tape: bool = False) -> None:
        super().__init__()
        self.units = nn.ModuleList(CGRU(maps) for _ in range(layers))
        self.dropout = dropout
        self.of_tape = (
            nn.Conv2d(maps, GATES * maps * layers, KERNEL, padding=KERNEL // 2, bias=False)
            if tape
            else None
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def drive(self, tape: Tensor) -> Tensor:
        """What a tape [batch, m, n, h] adds in all units [batch, layers x 3m, n, h]."""
        assert self.of_tape is not None, "made without a tape"
        return self.of_tape(tape)

    def forward(
        self, state: Tensor, drive: Tensor | None = None, active: Tensor | None = None
    ) -> Tensor:
        """One step.

        Args:
            state: [batch, m, n, h].
            drive: of the tape, as :meth:`drive` makes it.
            active: [batch, 1, n, 1] bool, where the state changes; everywhere if None.

        Returns:
            The next state [batch, m, n, h].
        """
        drives = [None] * len(self.units) if drive is None else drive.chunk(len(self.units), dim=1)
        rate = self.dropout / state.shape[2] ** 0.5
        for unit, part in zip(self.units, drives, strict=True):
            seen = F.dropout(state, rate, self.training) if rate else state
            following = unit(seen, part)
            state = following if active is None else torch.where(active, following, state)
        return state
