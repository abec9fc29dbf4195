"""The Neural GPU and the Extended Neural GPU (Kaiser and Sutskever 2016; Kaiser and Bengio 2016).

The state is an image of n columns, one for each symbol of the source, h rows and m maps. The
encoder writes the embedded source to its first row and applies a stack of CGRUs n times. The
decoder applies its own stack once for every symbol of the target. Symbol t is read from column t of
the first row, embedded, and written to that position of the output tape, which the CGRUs read.

With a memory (Kaiser et al. 2017, figure 3), the query is read from the position below that of the
symbol, before the step, and the answer is written to that position of the tape.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fairseq_plugins.modules.cgru import CGRUStack

SYMBOL_ROW, QUERY_ROW = 0, 1
Ask = Callable[[Tensor], Tensor | None]


@dataclass(frozen=True)
class Progress:
    """The progress of a decoder.

    Attributes:
        state: [batch, m, n, h].
        tape: [batch, m, t, h], the columns written so far; the last one is incomplete if a symbol
            is still to be written to it.
    """

    state: Tensor
    tape: Tensor


class NeuralGPUEncoder(nn.Module):
    """Writes the source to the state, and applies the CGRUs.

    Args:
        height: h, the rows of the state.
        stacks: of CGRUs, applied in turn, as many times as the source has symbols. More than one is
            a relaxation: see :func:`relax`.
    """

    def __init__(self, height: int, stacks: Sequence[CGRUStack]) -> None:
        super().__init__()
        self.height, self.stacks = height, nn.ModuleList(stacks)

    def forward(self, words: Tensor, columns: Tensor) -> Tensor:
        """Encode the source.

        Args:
            words: embedded source [batch, n, m], zero after the end of a sequence.
            columns: [batch] int64 on the CPU, the number of columns of each sequence.

        Returns:
            State [batch, m, n, h]. Columns after the end of a sequence are zero, and each sequence
            takes as many steps as it has columns, so the rest of the batch has no effect.
        """
        state = reached(self.stacks, in_row(words, SYMBOL_ROW, self.height))
        n = state.shape[2]
        ragged = bool((columns != n).any())
        own = own_columns(columns, n, state.device) if ragged else None
        left = columns.to(state.device).view(-1, 1, 1, 1)
        for step in range(n):
            active = None if own is None else own & (left > step)
            state = self.stacks[step % len(self.stacks)](state, active=active)
        return state


class NeuralGPUDecoder(nn.Module):
    """Continues with one step per symbol and an output tape.

    Args:
        height: h, the rows of the state.
        stacks: of CGRUs with a tape, applied in turn.
    """

    def __init__(self, height: int, stacks: Sequence[CGRUStack]) -> None:
        super().__init__()
        self.height, self.stacks = height, nn.ModuleList(stacks)

    def start(self, state: Tensor) -> Progress:
        """Start with the encoder's state and an empty tape."""
        state = reached(self.stacks, state)
        return Progress(state, state.new_zeros(len(state), state.shape[1], 0, self.height))

    def step(
        self, progress: Progress, word: Tensor | None, active: Tensor | None, ask: Ask | None
    ) -> tuple[Progress, Tensor]:
        """Write the last emitted symbol, query the memory, and apply the CGRUs once.

        Args:
            progress: so far.
            word: the last symbol, embedded [batch, m]; None at the first step.
            active: [batch, 1, n, 1] bool, the columns of each sequence; None for all.
            ask: position of the query [batch, m] -> answer [batch, m]; None without a memory.

        Returns:
            Progress, and the position of this step's symbol [batch, m].
        """
        state, tape = progress.state, progress.tape
        step = tape.shape[2]  # all columns but the current one are complete
        if word is not None:
            symbol = in_row(word.unsqueeze(1), SYMBOL_ROW, self.height)
            tape = torch.cat([tape[:, :, :-1], tape[:, :, -1:] + symbol.to(tape.dtype)], dim=2)
        answer = ask(state[:, :, step, QUERY_ROW]) if ask else None
        if answer is None:
            column = tape.new_zeros(len(tape), tape.shape[1], 1, self.height)
        else:
            column = in_row(answer.unsqueeze(1), QUERY_ROW, self.height).to(tape.dtype)
        tape = torch.cat([tape, column], dim=2)
        rest = tape.new_zeros(*tape.shape[:2], state.shape[2] - tape.shape[2], self.height)
        stack: Any = self.stacks[step % len(self.stacks)]
        drive = stack.drive(channels_last(torch.cat([tape, rest], dim=2)))
        state = stack(state, drive, active)
        return Progress(state, tape), state[:, :, step, SYMBOL_ROW]


def reached(stacks: nn.ModuleList, state: Tensor) -> Tensor:
    """Return the state, with gradients of 0 to all parameters of alternative stacks.

    Sequences may take fewer steps than there are stacks, and workers that train together wait for
    the gradients of all parameters.
    """
    if len(stacks) == 1 or not torch.is_grad_enabled():
        return state
    return state + 0 * torch.stack([parameter.sum() for parameter in stacks.parameters()]).sum()


@torch.no_grad()
def relax(stacks: Sequence[nn.Module], pull: float) -> None:
    """Pull the parameters of equal modules together (Kaiser and Sutskever 2016, section 3).

    Steps with separate parameters learn more easily; in the end all are to be the same.

    Args:
        stacks: the modules.
        pull: 0 leaves them unchanged, 1 replaces all of them with their mean.
    """
    for parameters in zip(*(stack.parameters() for stack in stacks), strict=True):
        mean = torch.stack(parameters).mean(dim=0)
        for parameter in parameters:
            parameter.lerp_(mean, pull)


def in_row(words: Tensor, row: int, height: int) -> Tensor:
    """Place vectors [batch, n, m] in one row of an otherwise empty image [batch, m, n, h]."""
    image = torch.zeros(*words.shape[:2], height, words.shape[2], device=words.device,
                        dtype=words.dtype)  # [batch, n, h, m]  # fmt: skip
    image = torch.cat([image[:, :, :row], words.unsqueeze(2), image[:, :, row + 1 :]], dim=2)
    return image.permute(0, 3, 1, 2)  # maps are last in memory


def channels_last(image: Tensor) -> Tensor:
    """Return the image with its maps last in memory, which suits convolutions."""
    return image.contiguous(memory_format=torch.channels_last)


def own_columns(columns: Tensor, n: int, device: torch.device) -> Tensor:
    """Return which of n columns belong to each sequence [batch, 1, n, 1] bool."""
    return (torch.arange(n, device=device) < columns.to(device).unsqueeze(1))[:, None, :, None]
