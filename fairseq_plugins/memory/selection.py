"""The best of every row by selection, and pairs packed so that one number orders them.

What :mod:`fairseq_plugins.memory.search` is made of. torch selects slowly on a CPU, so there the
work is numpy's, on as many threads as torch uses.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

LOW_WORD = 0xFFFFFFFF  # the lower half of a packed (similarity, slot) pair
MAX_SLOT = 0x7FFFFFFF


def select(coarse: Tensor, group: int, m: int) -> tuple[Tensor, Tensor]:
    """The m greatest columns of every row, in any order.

    Args:
        coarse: [n, columns], columns a multiple of ``group``.
        group: columns per group; group j holds the columns j, j + columns/group, ...
        m: how many columns to select.

    Returns:
        Columns [n, m], and an upper bound [n] in float32 of every value not selected.
    """
    n, columns = coarse.shape
    if group == 1:
        values = coarse.float()
        chosen = largest(values, m)
        return chosen, values.gather(1, chosen).amin(1)
    groups = coarse.view(n, group, columns // group)
    best_groups = largest(groups.amax(1).float(), m)  # [n, m]
    members = groups.gather(2, best_groups.unsqueeze(1).expand(n, group, m))  # [n, group, m]
    values = members.float().view(n, group * m)
    chosen = largest(values, m)  # [n, m], index = row in group x m + group
    slots = best_groups.gather(1, chosen % m) + chosen // m * (columns // group)
    # A group that was left out has no value above the least of m group maxima, and so none
    # above the least of the m greatest values.
    return slots, values.gather(1, chosen).amin(1)


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


def pack(similarity: Tensor, slot: Tensor) -> Tensor:
    """One int64 per pair that sorts by similarity, then by lower slot."""
    bits = (similarity + 0.0).view(torch.int32)  # + 0.0 makes -0.0 and 0.0 equal
    ordered = bits ^ ((bits >> 31) & MAX_SLOT)  # monotone in the float, for either sign
    return (ordered.long() << 32) | (MAX_SLOT - slot)


def pack_one(similarity: float) -> int:
    """:func:`pack` of a similarity that belongs to no slot."""
    return int(pack(torch.tensor([similarity]), torch.tensor([-1]))[0])


def unpack(packed: Tensor) -> tuple[Tensor, Tensor]:
    """Similarities (float32) and slots (int64) of packed pairs; -1 where the first is -inf."""
    ordered = (packed >> 32).int()
    similarity = (ordered ^ ((ordered >> 31) & MAX_SLOT)).view(torch.float32)
    slot = MAX_SLOT - (packed & LOW_WORD)
    return similarity, slot.masked_fill(similarity == -torch.inf, -1)


def largest(values: Tensor, m: int) -> Tensor:
    """Columns of the m greatest of every row [n, columns] -> [n, m], in any order."""
    if values.is_cuda:
        return values.topk(m, dim=1, sorted=False).indices
    # numpy selects with vector instructions: 5 times faster than torch.topk.
    cut = values.shape[1] - m
    return rowwise(lambda rows: np.argpartition(rows, cut, axis=1)[:, cut:], values)


def largest_packed(packed: Tensor, k: int) -> Tensor:
    """The k greatest of every row [n, m] of packed pairs, in descending order [n, k]."""
    if packed.is_cuda:
        return packed.topk(k, dim=1).values
    cut = packed.shape[1] - k

    def best(rows: np.ndarray) -> np.ndarray:
        rows = np.partition(rows, cut, axis=1)[:, cut:] if cut else rows
        return np.sort(rows, axis=1)[:, ::-1].copy()  # torch takes no negative strides

    return rowwise(best, packed)


def rowwise(function: Callable[[np.ndarray], np.ndarray], values: Tensor) -> Tensor:
    """Apply a numpy function to blocks of rows, on as many threads as torch uses."""
    threads = min(torch.get_num_threads(), len(values))
    rows = values.numpy()
    if threads <= 1 or rows.size < 1 << 14:
        return torch.from_numpy(function(rows))
    parts = thread_pool(os.getpid(), threads).map(function, np.array_split(rows, threads))
    return torch.from_numpy(np.concatenate(list(parts)))


@lru_cache(maxsize=1)
def thread_pool(process: int, threads: int) -> ThreadPoolExecutor:
    """One pool a process: threads do not survive a fork."""
    return ThreadPoolExecutor(threads)
