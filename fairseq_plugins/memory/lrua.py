"""External memories that a controller reads and writes by attention, step by step.

``LRUAMemory`` is the memory of the MANN (Santoro et al. 2016, section 3.2): it is read by cosine
similarity, and written to the places that were just read or to the least recently used ones.
``NTMMemory`` is the memory of the Neural Turing Machine (Graves et al. 2014, section 3), which also
addresses by location. Both are empty at the start of each episode. They have no parameters: a
controller emits everything that addresses them.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

EMPTY = 1e-6  # initial value of rows; the cosine with a row of zeros would have no gradient
NO_LENGTH = 1e-12  # smallest norm of a row in a cosine, as in torch's normalize
FRESH = 1e-3  # initial usage of a slot, times its number, so that empty slots have an order


class MemoryState(NamedTuple):
    """The contents of an external memory between two steps.

    Attributes:
        rows: M [batch, slots, width].
        read_weights: w^r [batch, heads, slots].
        write_weights: w^w [batch, heads, slots].
        usage: w^u [batch, slots].
        read: r [batch, heads, width], the result of the last read.
    """

    rows: Tensor
    read_weights: Tensor
    write_weights: Tensor
    usage: Tensor
    read: Tensor


class ExternalMemory(Protocol):
    """Interface between a controller and a memory."""

    @property
    def emissions(self) -> Sequence[int]:
        """Widths of the emissions that ``step`` takes, for each head."""

    def start(self, batch: int, like: Tensor) -> MemoryState:
        """Return an empty memory for each episode of a batch."""

    def step(self, state: MemoryState, *emitted: Tensor) -> MemoryState:
        """Write and read once; each emission is [batch, heads, its width]."""


class _Rows:
    """Sizes of a memory, and its initial state."""

    def __init__(self, slots: int, width: int, heads: int) -> None:
        for name, value in (("slots", slots), ("width", width), ("heads", heads)):
            if value < 1:
                raise ValueError(f"an external memory needs at least one of {name}, not {value}")
        if heads > slots:
            raise ValueError(f"{heads} heads cannot each have a place in {slots} slots")
        self.slots, self.width, self.heads = slots, width, heads

    def start(self, batch: int, like: Tensor) -> MemoryState:
        """Return an empty memory for each episode of a batch, with the type of ``like``."""
        first = like.new_zeros(batch, self.heads, self.slots)
        first[:, :, 0] = 1.0  # all heads attend to the first slot
        return MemoryState(
            rows=like.new_full((batch, self.slots, self.width), EMPTY),
            read_weights=first,
            write_weights=first,
            usage=(FRESH * torch.arange(self.slots).to(like)).expand(batch, -1),
            read=like.new_zeros(batch, self.heads, self.width),
        )


class LRUAMemory(_Rows):
    """The memory of the MANN, with Least Recently Used Access (Santoro et al. 2016, eqs. 2 to 8).

    Args:
        slots: number of rows.
        width: of a row.
        heads: number of heads that read and write.
        decay: gamma, the decay of the usage.
    """

    def __init__(self, slots: int, width: int, heads: int, decay: float = 0.95) -> None:
        super().__init__(slots, width, heads)
        if not 0 <= decay < 1:
            raise ValueError(f"the decay of the usage must be in [0, 1), not {decay}")
        self.decay = decay
        self.emissions = (width, width, 1, 1)

    def step(self, state: MemoryState, *emitted: Tensor) -> MemoryState:
        """Write, then read.

        Args:
            state: after the previous step.
            emitted: key k and addend a [batch, heads, width]; gate alpha and the strength of the
                key [batch, heads, 1]. Cosines are multiplied by 1 + softplus(strength), which is
                not in the published equations: without it, 128 cosines between -1 and 1 always give
                almost the same softmax.

        Returns:
            The state after this step.
        """
        key, addend, alpha, strength = emitted
        least = least_used(state.usage, self.heads)  # [batch, slots]
        gate = torch.sigmoid(alpha)  # [batch, heads, 1]
        write = gate * state.read_weights + (1 - gate) * least.unsqueeze(1)  # equation 7
        oldest = state.usage.argmin(dim=1).view(-1, 1, 1).expand(-1, 1, self.width)
        rows = state.rows.scatter(1, oldest, EMPTY)
        rows = rows + torch.einsum("bhs,bhw->bsw", write, addend)  # equation 8
        weights = content_weights(key, rows, 1 + F.softplus(strength))  # equations 2, 3
        read = weights @ rows  # equation 4
        usage = self.decay * state.usage + (weights + write).sum(1)  # equation 5
        return MemoryState(rows, weights, write, usage, read)


class NTMMemory(_Rows):
    """The memory of the Neural Turing Machine (Graves et al. 2014, section 3).

    Each head reads, and also writes with separate weights. Both addresses are found by content,
    gated, shifted by at most one place, and sharpened.
    """

    def __init__(self, slots: int, width: int, heads: int) -> None:
        super().__init__(slots, width, heads)
        address = (width, 1, 1, SHIFTS, 1)  # key, strength, gate, shift, sharpness
        self.emissions = (width, width, *address, *address)  # erase, add, to write, to read

    def step(self, state: MemoryState, *emitted: Tensor) -> MemoryState:
        """Write, then read.

        Args:
            state: after the previous step.
            emitted: erase and add vectors, then key, strength, gate, shift and sharpness of the
                writing and of the reading heads.

        Returns:
            The state after this step.
        """
        erase, add, *address = emitted
        write = located(state.rows, state.write_weights, *address[:5])
        erased = (1 - write.unsqueeze(3) * torch.sigmoid(erase).unsqueeze(2)).prod(1)
        rows = state.rows * erased + torch.einsum("bhs,bhw->bsw", write, torch.tanh(add))
        weights = located(rows, state.read_weights, *address[5:])
        return MemoryState(rows, weights, write, state.usage, weights @ rows)


SHIFTS = 3  # to the left, none, to the right


def content_weights(key: Tensor, rows: Tensor, strength: Tensor) -> Tensor:
    """Compute softmax over slots of strength x cos(key, row).

    Args:
        key: [batch, heads, width].
        rows: [batch, slots, width].
        strength: [batch, heads, 1], positive.

    Returns:
        [batch, heads, slots].
    """
    # Divide products, not rows: rows are larger, and the gradient would pass through them again.
    length = torch.linalg.vector_norm(rows, dim=-1).clamp_min(NO_LENGTH).unsqueeze(1)
    cosine = F.normalize(key, dim=-1) @ rows.transpose(1, 2) / length
    return torch.softmax(strength * cosine, dim=-1)


def least_used(usage: Tensor, count: int) -> Tensor:
    """Compute w^lu: 1 where the usage is at most the ``count``-th smallest, else 0 (equation 6).

    Args:
        usage: [batch, slots].
        count: n.

    Returns:
        [batch, slots], without gradient.
    """
    usage = usage.detach()
    threshold = usage.kthvalue(count, dim=1, keepdim=True).values
    return (usage <= threshold).to(usage.dtype)


def located(
    rows: Tensor,
    previous: Tensor,
    key: Tensor,
    strength: Tensor,
    gate: Tensor,
    shift: Tensor,
    sharpness: Tensor,
) -> Tensor:
    """Compute weights by content and by location (Graves et al. 2014, section 3.3).

    Args:
        rows: [batch, slots, width].
        previous: weights of the previous step [batch, heads, slots].
        key: [batch, heads, width].
        strength: of the key, before softplus [batch, heads, 1].
        gate: between content and the previous weights, before the sigmoid [batch, heads, 1].
        shift: by -1, 0, 1, before the softmax [batch, heads, 3].
        sharpness: before 1 + softplus [batch, heads, 1].

    Returns:
        [batch, heads, slots]; each row sums to 1.
    """
    content = content_weights(key, rows, F.softplus(strength))
    mixed = torch.lerp(previous, content, torch.sigmoid(gate))
    moved = torch.softmax(shift, dim=-1)
    shifted = sum(
        moved[..., place : place + 1] * mixed.roll(place - 1, dims=-1) for place in range(SHIFTS)
    )
    assert isinstance(shifted, Tensor)
    sharp = (shifted + EMPTY) ** (1 + F.softplus(sharpness))
    return sharp / sharp.sum(dim=-1, keepdim=True)
