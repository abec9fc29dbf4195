"""Exchange of rows between the processes of one program; each of them is a rank."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class RankLost(RuntimeError):
    """Another process of this program has ended, or does not answer."""


def number_of_ranks() -> int:
    """Return the number of processes of this program; 1 without ``torch.distributed``."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather_rows(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Concatenate the rows of all ranks, in the order of the ranks.

    Every rank must call this, even one that has no rows. Without ``torch.distributed``, the
    tensors are returned unchanged.

    Args:
        tensors: each [n, ...], with the same n for all tensors of a rank; n may differ by rank.

    Returns:
        The tensors with the rows of rank 0 first, identical on all ranks.

    Raises:
        RankLost: if another rank has ended.
    """
    if number_of_ranks() == 1:
        return tensors
    lengths = [length for (length,) in gather_numbers([len(tensors[0])], tensors[0].device)]
    return tuple(gather(tensor, lengths) for tensor in tensors)


def gather_numbers(
    numbers: Sequence[int], device: torch.device, group: Any = None
) -> list[list[int]]:
    """Return the integers of all ranks, as many of each, in the order of the ranks."""
    own = torch.tensor(numbers, dtype=torch.int64, device=device)
    parts = [torch.empty_like(own) for _ in range(number_of_ranks())]
    with connected():
        dist.all_gather(parts, own, group=group)
    return torch.stack(parts).tolist()


def gather(tensor: Tensor, lengths: Sequence[int], group: Any = None) -> Tensor:
    """Concatenate the rows of all ranks.

    Args:
        tensor: [n, ...].
        lengths: n of each rank.
        group: of ``torch.distributed``; None for the usual one.
    """
    if not any(lengths):
        return tensor
    # all_gather needs equal shapes, so shorter tensors are padded and cut again.
    padded = tensor.new_zeros(max(lengths), *tensor.shape[1:])
    padded[: len(tensor)] = tensor
    parts = [torch.empty_like(padded) for _ in lengths]
    with connected():
        dist.all_gather(parts, padded, group=group)
    return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])


def exchange(tensor: Tensor, lengths: Sequence[int], group: Any = None) -> Tensor:
    """Send to each rank its rows.

    Args:
        tensor: [sum of lengths, ...], the rows for rank 0 first.
        lengths: numbers of rows for each rank.
        group: of ``torch.distributed``; None for the usual one.

    Returns:
        What each rank sent to this one: [ranks, n, ...].
    """
    own = lengths[dist.get_rank()]
    received = tensor.new_empty(len(lengths) * own, *tensor.shape[1:])
    if any(lengths):
        with connected():
            dist.all_to_all_single(
                received, tensor.contiguous(), [own] * len(lengths), list(lengths), group=group
            )
    return received.view(len(lengths), own, *tensor.shape[1:])


@contextmanager
def connected() -> Iterator[None]:
    """Report in one line that the connection to another rank is lost.

    Raises:
        RankLost: if it is.
    """
    try:
        yield
    except RuntimeError as error:  # some backends of torch.distributed have no other type
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RankLost(
            "another process of this program has ended, or does not answer; its own messages give "
            f"the reason ({reason})"
        ) from error
