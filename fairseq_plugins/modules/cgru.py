"""Convolutional gated recurrent units, the components of a Neural GPU.

Kaiser and Sutskever 2016, "Neural GPUs learn algorithms", equation (1); the tape as in Kaiser and
Bengio 2016, "Can active memory replace attention?", section 2.2:

    CGRU(s; p) = u * s + (1 - u) * c        c = tanh(conv[p, r * s])
    r = sig(conv[p, s] + 1)                 u = sig(conv[p, s] + 1)
    sig(x) = clip(1.2 sigmoid(x) - 0.1, 0, 1)

With diagonal gates (Freivalds and Liepins 2017, "Improving the Neural GPU architecture for
algorithm learning"), the first term is u * shifted(s): at each step, a third of the maps moves
forward by one column and a third moves back, so a symbol can travel without being recomputed.

A convolution over [p, s] is the sum of one over p and one over s. The tape p changes only between
steps, so its part, the *drive*, is computed for all units at once: :meth:`CGRUStack.drive`.
"""

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KERNEL = 3
PADDING = KERNEL // 2
GATES = 3  # r, u, c
INIT_GAIN = 1.8  # standard deviation of weights, times the square root of the number of summands
STRETCH, CUT = 1.2, 0.1  # of the saturating sigmoid


def saturating_sigmoids(x: Tensor) -> list[Tensor]:
    """Compute clip(1.2 sigmoid(x) - 0.1, 0, 1) of both halves of the maps of [batch, 2m, n, h].

    The result can be exactly 0 or 1. Each half is contiguous: views of a whole would be runs of m
    numbers, which is too short for the fast paths of most operations. x is overwritten.
    """
    return [
        torch.add(_scalar(-CUT), half, alpha=STRETCH).clamp_(0, 1).to(x.dtype)
        for half in _widened(x).sigmoid_().chunk(2, dim=1)
    ]


def saturating_sigmoid_backward_(gradient: Tensor, gate: Tensor) -> Tensor:
    """Compute the gradient of x from 1.2 times the gradient of the gate, in place.

    Args:
        gradient: with the shape of ``gate``; times 1.2, a factor that callers apply at no cost.
        gate: the value y = 1.2 sigma - 0.1, clipped.
    """
    aten = torch.ops.aten
    aten.hardtanh_backward(gradient, gate, 0.0, 1.0, grad_input=gradient)  # 0 where it is clipped
    sigmoid = torch.add(_scalar(CUT / STRETCH), gate, alpha=1 / STRETCH)
    return aten.sigmoid_backward(gradient, sigmoid, grad_input=gradient)


def tanh_(x: Tensor) -> Tensor:
    """Compute tanh of x in place."""
    return x.copy_(_widened(x).tanh_())


def _widened(x: Tensor) -> Tensor:
    """Return x in float32, in which a CPU computes functions faster, even with the conversion."""
    return x.float() if x.dtype == torch.bfloat16 else x


@lru_cache
def _scalar(number: float) -> Tensor:
    """Return a tensor for fused operations that need one as their first argument."""
    return torch.tensor(number)


def shifted(state: Tensor, by: int = 1) -> Tensor:
    """Move a third of the maps of [batch, m, n, h] by one column, and a third the other way.

    Args:
        state: columns from outside are zeros.
        by: 1, or -1 for the inverse (except for what moved out), which is also the derivative.
    """
    third = state.shape[1] // 3
    result = state.clone()
    for first, direction in ((0, by), (third, -by)):
        maps = slice(first, first + third)
        if direction > 0:
            result[:, maps, 1:], result[:, maps, :1] = state[:, maps, :-1], 0
        else:
            result[:, maps, :-1], result[:, maps, -1:] = state[:, maps, 1:], 0
    return result


class Unit(torch.autograd.Function):
    """The equations above, with hand-written derivatives.

    Autograd would keep a copy for each of a dozen elementwise operations and pass over all of them
    again, which takes most of the time with small convolutions.
    """

    @staticmethod
    def forward(
        ctx: Any,
        state: Tensor,
        drive: Tensor | None,
        gates_weight: Tensor,
        gates_bias: Tensor,
        candidate_weight: Tensor,
        candidate_bias: Tensor,
        diagonal: bool,
        spared: Tensor | None,
    ) -> Tensor:
        gates = F.conv2d(state, gates_weight, gates_bias, padding=PADDING)
        if drive is not None:
            gates += drive[:, : gates.shape[1]]
        reset, update = saturating_sigmoids(gates)
        kept = reset * state
        candidate = F.conv2d(kept, candidate_weight, candidate_bias, padding=PADDING)
        if drive is not None:
            candidate += drive[:, gates.shape[1] :]
        tanh_(candidate)
        ctx.driven, ctx.diagonal = drive is not None, diagonal
        ctx.save_for_backward(
            state, reset, update, candidate, gates_weight, candidate_weight, spared
        )
        carried = shifted(state) if diagonal else state
        return torch.lerp(_dropped(candidate, spared), carried, update)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        state, reset, update, candidate, gates_weight, candidate_weight, spared = ctx.saved_tensors
        (of_next,) = gradients

        carried = shifted(state) if ctx.diagonal else state
        of_carried = of_next * update
        of_candidate = torch.ops.aten.tanh_backward(
            _dropped(of_next - of_carried, spared), candidate
        )
        of_kept, of_candidate_weight, of_candidate_bias = convolution_backward(
            of_candidate, reset * state, candidate_weight
        )
        nothing = of_next.new_zeros(())  # on CUDA, addcmul needs it on the device
        of_reset = torch.addcmul(nothing, of_kept, state, value=STRETCH)
        of_update = torch.addcmul(
            nothing, of_next, carried - _dropped(candidate, spared), value=STRETCH
        )
        of_gates = torch.cat([
            saturating_sigmoid_backward_(of_reset, reset),
            saturating_sigmoid_backward_(of_update, update),
        ], dim=1)  # fmt: skip
        of_state, of_gates_weight, of_gates_bias = convolution_backward(
            of_gates, state, gates_weight
        )
        of_state.add_(shifted(of_carried, -1) if ctx.diagonal else of_carried)
        of_state.addcmul_(of_kept, reset)
        return (
            of_state,
            torch.cat([of_gates, of_candidate], dim=1) if ctx.driven else None,
            of_gates_weight,
            of_gates_bias,
            of_candidate_weight,
            of_candidate_bias,
            None,
            None,
        )


def _dropped(candidate: Tensor, spared: Tensor | None) -> Tensor:
    return candidate if spared is None else candidate * spared


def convolution_backward(
    gradient: Tensor, inputs: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of inputs, weight and bias."""
    once, none = [1, 1], [0, 0]
    return torch.ops.aten.convolution_backward(
        gradient.contiguous(memory_format=torch.channels_last), inputs, weight,
        [len(weight)], once, [PADDING] * 2, once, False, none, 1, [True] * 3,
    )  # fmt: skip


class CGRU(nn.Module):
    """One unit; r and u come from one convolution.

    Args:
        maps: m, the maps of the state.
        diagonal: whether two thirds of the maps move.
    """

    def __init__(self, maps: int, diagonal: bool = False) -> None:
        super().__init__()
        self.diagonal = diagonal
        self.gates = nn.Conv2d(maps, 2 * maps, KERNEL, padding=PADDING)
        self.candidate = nn.Conv2d(maps, maps, KERNEL, padding=PADDING)
        for convolution, bias in ((self.gates, 1.0), (self.candidate, 0.0)):
            assert convolution.bias is not None
            nn.init.constant_(convolution.bias, bias)  # the + 1 of the equations
            # As large as in the authors' program. With PyTorch's scale, a third of it, the state
            # fades within a few steps, and nothing is learned.
            bound = INIT_GAIN * (3 / convolution.weight[0].numel()) ** 0.5
            nn.init.uniform_(convolution.weight, -bound, bound)

    def forward(self, state: Tensor, drive: Tensor | None = None, dropout: float = 0.0) -> Tensor:
        """Apply the unit once.

        Args:
            state: [batch, m, n, h].
            drive: contribution of the tape [batch, 3m, n, h].
            dropout: share of c that is dropped.

        Returns:
            The next state.
        """
        gates, candidate = self.gates, self.candidate
        assert gates.bias is not None and candidate.bias is not None
        parameters = [gates.weight, gates.bias, candidate.weight, candidate.bias]
        if torch.is_autocast_enabled(state.device.type):
            number_format = torch.get_autocast_dtype(state.device.type)
            state = state.to(number_format)
            parameters = [parameter.to(number_format) for parameter in parameters]
        spared = F.dropout(torch.ones_like(state), dropout) if dropout else None
        return Unit.apply(state, drive, *parameters, self.diagonal, spared)


class CGRUStack(nn.Module):
    """Several units, applied one after the other.

    Args:
        maps: m.
        layers: number of units.
        dropout: of each unit's c, so that it affects what is computed and never what is carried
            over (Semeniuta et al. 2016, "Recurrent dropout without memory loss"); scaled by
            1 / sqrt(n), because a longer state passes through more units.
        tape: whether there is a tape, with the shape of the state.
        diagonal: whether two thirds of the maps move.
    """

    def __init__(
        self,
        maps: int,
        layers: int,
        dropout: float = 0.0,
        tape: bool = False,
        diagonal: bool = False,
    ) -> None:
        super().__init__()
        self.units = nn.ModuleList(CGRU(maps, diagonal) for _ in range(layers))
        self.dropout = dropout
        self.of_tape = (
            nn.Conv2d(maps, GATES * maps * layers, KERNEL, padding=PADDING, bias=False)
            if tape
            else None
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def drive(self, tape: Tensor) -> Tensor:
        """Compute the drive of a tape [batch, m, n, h] in all units [batch, layers x 3m, n, h]."""
        assert self.of_tape is not None, "created without a tape"
        return self.of_tape(tape)

    def forward(
        self, state: Tensor, drive: Tensor | None = None, active: Tensor | None = None
    ) -> Tensor:
        """Apply all units once.

        Args:
            state: [batch, m, n, h].
            drive: of the tape, from :meth:`drive`.
            active: [batch, 1, n, 1] bool, where the state changes; None for everywhere.

        Returns:
            The next state [batch, m, n, h].
        """
        drives = [None] * len(self.units) if drive is None else drive.chunk(len(self.units), dim=1)
        rate = self.dropout / state.shape[2] ** 0.5 if self.training else 0.0
        for unit, part in zip(self.units, drives, strict=True):
            following = unit(state, part, rate)
            state = following if active is None else torch.where(active, following, state)
        return state
