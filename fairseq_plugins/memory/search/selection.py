"""The best of every row by selection, and pairs packed so that one number orders them.

What :mod:`fairseq_plugins.memory.search.exact` is made of. On a CPU numpy selects, with vector
instructions: several times faster than torch. (Threads of its own would only wait for those of
torch.)
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

LOW_WORD = 0xFFFFFFFF  # the lower half of a packed (similarity, slot) pair


def select(tiles: Iterable[tuple[Tensor, Tensor]], m: int) -> tuple[Tensor, Tensor]:
    """The m greatest columns of every row, in any order.

    Args:
        tiles: consecutive members of all groups, [n, members, groups] of any float type, each with
            scratch space of the same shape; both are used up. Group j holds the columns j,
            j + groups, j + 2 groups, ...
        m: how many columns to select.

    Returns:
        Columns [n, m], and an upper bound [n] in float32 of every value not selected.
    """
    members: list[Tensor] = []
    maxima = None
    for tile, scratch in tiles:
        ordered = _order(tile, scratch)
        members.append(ordered)
        for member in ordered.unbind(1):  # several times faster than amax
            maxima = member.clone() if maxima is None else torch.maximum(maxima, member, out=maxima)
    assert maxima is not None  # there is at least one tile
    groups, dtype = tile.shape[2], tile.dtype
    values, best = largest(maxima, m)  # [n, m]
    if len(members) > 1 or members[0].shape[1] > 1:
        index = best.unsqueeze(1)  # [n, 1, m]
        of_best = [tile.gather(2, index.expand(-1, tile.shape[1], -1)) for tile in members]
        values, chosen = largest(torch.cat(of_best, dim=1).flatten(1), m)  # member x m + group
        best = best.gather(1, chosen % m) + chosen // m * groups
    # A group that was left out has no value above the least of m group maxima, and so none
    # above the least of the m greatest values.
    least = values.amin(1)
    return best, (least ^ _mask(least)).view(dtype).float()


def largest(values: Tensor, m: int) -> tuple[Tensor, Tensor]:
    """The m greatest of every row, in any order.

    Value and column are packed into one integer: to select numbers is twice as fast as to select
    their places.

    Args:
        values: [n, columns] int16 or int32.
        m: how many.

    Returns:
        Values [n, m] and their columns [n, m] int64.
    """
    columns = values.shape[1]
    small = values.dtype == torch.int16 and columns <= 1 << 16
    word, shift = (torch.int32, 16) if small else (torch.int64, 32)
    column = torch.arange(columns, dtype=word, device=values.device)
    packed = values.to(word).bitwise_left_shift_(shift).bitwise_or_(column)
    if packed.is_cuda:
        packed = packed.topk(m, dim=1, sorted=False).values
    else:
        cut = columns - m
        packed = torch.from_numpy(np.partition(packed.numpy(), cut, axis=1)[:, cut:])
    return (packed >> shift).to(values.dtype), (packed & ((1 << shift) - 1)).long()


def _mask(bits: Tensor, out: Tensor | None = None) -> Tensor:
    """What has to be flipped in the bits of floats to make integers of the same order.

    The integers of negative floats run the other way: all bits but the sign are flipped. To flip
    the result again gives the floats back.
    """
    sign = torch.bitwise_right_shift(bits, 8 * bits.element_size() - 1, out=out)  # 0 or -1
    return sign.bitwise_and_(torch.iinfo(bits.dtype).max)


def _order(values: Tensor, scratch: Tensor) -> Tensor:
    """Floats [n, members, groups] as integers of the same order, in their place."""
    integer = {2: torch.int16, 4: torch.int32}[values.element_size()]
    bits = values.view(integer)
    return bits.bitwise_xor_(_mask(bits, out=scratch.view(integer)))


def dot_products(query: Tensor, keys: Tensor, slots: Tensor) -> Tensor:
    """q_n . K[slots[n, j]] in float32: [N, D], [S, D], [N, m] -> [N, m]."""
    n, m = slots.shape
    if query.is_cuda:
        return torch.bmm(keys[slots], query.unsqueeze(2)).squeeze(2)
    # On CPU a product sampled at given places needs no copy of the keys: 5 times faster.
    rows = torch.arange(0, n * m + 1, m)
    with torch.sparse.check_sparse_tensor_invariants(False):
        places = torch.sparse_csr_tensor(
            rows, slots.reshape(-1), query.new_zeros(n * m), (n, len(keys))
        )
        sampled = torch.sparse.sampled_addmm(places, query, keys.t(), beta=0.0)
    return sampled.values().view(n, m)


def best(similarity: Tensor, slot: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best of every row, best first, ties to the lower slot.

    Args:
        similarity: [n, m] float32.
        slot: [n, m] int64, not negative.
        k: how many.

    Returns:
        Similarities [n, k] and slots [n, k]; -1 where the first is -inf.
    """
    packed = pack(similarity, slot)
    if packed.is_cuda:
        return unpack(packed.topk(k, dim=1, largest=False).values)
    rows = packed.numpy()
    if k < rows.shape[1]:
        rows = np.partition(rows, k - 1, axis=1)[:, :k]
    return unpack(torch.from_numpy(np.sort(rows, axis=1)))


def pack(similarity: Tensor, slot: Tensor) -> Tensor:
    """One int64 per pair, the smaller the better: by similarity, then by lower slot."""
    bits = (similarity + 0.0).view(torch.int32)  # + 0.0 makes -0.0 and 0.0 equal
    descending = (bits ^ _mask(bits)).bitwise_not_()
    return (descending.long() << 32) | slot


def unpack(packed: Tensor) -> tuple[Tensor, Tensor]:
    """Similarities (float32) and slots (int64) of packed pairs; -1 where the first is -inf."""
    ordered = (packed >> 32).int().bitwise_not_()
    similarity = (ordered ^ _mask(ordered)).view(torch.float32)
    return similarity, (packed & LOW_WORD).masked_fill_(similarity == -torch.inf, -1)
