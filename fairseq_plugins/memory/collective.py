"""Exchange of rows between the processes of one training."""

import torch
import torch.distributed as dist
from torch import Tensor


def gather_rows(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Concatenate the rows of all ranks, in the order of the ranks.

    Every rank must call this, even one that has no rows. Without ``torch.distributed``, the
    tensors are returned unchanged.

    Args:
        tensors: each [n, ...], with the same n for all tensors of a rank; n may differ by rank.

    Returns:
        The tensors with the rows of rank 0 first, identical on all ranks.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return tensors
    ranks = dist.get_world_size()
    count = torch.tensor([len(tensors[0])], device=tensors[0].device)
    counts = [torch.zeros_like(count) for _ in range(ranks)]
    dist.all_gather(counts, count)
    lengths = [int(c) for c in counts]
    longest = max(lengths)
    if longest == 0:
        return tensors
    return tuple(_gather(tensor, lengths, longest) for tensor in tensors)


def _gather(tensor: Tensor, lengths: list[int], longest: int) -> Tensor:
    # all_gather needs equal shapes, so shorter tensors are padded and cut again.
    padded = tensor.new_zeros(longest, *tensor.shape[1:])
    padded[: len(tensor)] = tensor
    parts = [torch.empty_like(padded) for _ in lengths]
    dist.all_gather(parts, padded)
    return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])
