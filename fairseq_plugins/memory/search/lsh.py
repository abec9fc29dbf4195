"""Locality-sensitive hashing with random hyperplanes, in pure torch, on CPU and CUDA.

A table has b random hyperplanes through the mean of the keys (Charikar 2002). On which side of each
of them a key is gives it a code of b bits, and keys with the same code share a bucket. In each of
several tables, a query looks into the bucket of its own code, and into those across the
hyperplanes that are nearest to it (multi-probe, Lv et al. 2007).

The keys of a table are sorted by code, so a bucket is a range. Keys that were added since are in a
tail, which every query looks through; when the tail becomes long, the tables are sorted again. So
the cost of a change is small on average.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_plugins.memory.hits import NOTHING
from fairseq_plugins.memory.search.selection import best, dot_products
from fairseq_plugins.memory.search.stored_index import Partition

_TABLES = 8
_KEYS_A_BUCKET = 16  # on average
_TAIL = 1024  # longest tail, or a 32nd of the keys if that is more
_SHARE = 32
_PAIRS = 1 << 21  # pairs of a query and a slot, or a bucket, at once

_NOWHERE, _IN_TAIL, _SORTED = range(3)  # where a slot is


class Hashing:
    """An :class:`~.approximate.Index` of random hyperplanes.

    Args:
        key_dim: D.
        seed: of the hyperplanes.
    """

    def __init__(self, key_dim: int, seed: int) -> None:
        self.key_dim, self.seed = key_dim, seed
        self.fit(torch.zeros(1, key_dim), torch.zeros(1, dtype=torch.int64))

    def __getstate__(self) -> dict:
        """Leave the contents out of copies and pickles."""
        return {"key_dim": self.key_dim, "seed": self.seed}

    def __setstate__(self, state: dict) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __str__(self) -> str:
        """Return a description for the log."""
        return f"{_TABLES} tables of {1 << self.bits:,} buckets"

    @property
    def efforts(self) -> list[int]:
        """Numbers of buckets to look into in each table: 1, 2, 4, ..., all."""
        return [1 << near for near in range(self.bits + 1)]

    @property
    def imbalance(self) -> float:
        """Mean length of the bucket of a key, relative to that if all were equally long."""
        if len(self._tail):
            self._sort()
        lengths = torch.unique_consecutive(self._codes[0], return_counts=True)[1].double()
        n = lengths.sum()
        return float(lengths.square().sum() / n.square() * (1 << self.bits)) if n else 1.0

    def runs_on(self, device: torch.device) -> bool:
        """Return True: torch runs everywhere."""
        return True

    def fit(self, keys: Tensor, slots: Tensor) -> None:
        """Choose the hyperplanes, see :class:`~.approximate.Index`."""
        self.bits = max(1, (len(slots) // _KEYS_A_BUCKET).bit_length())  # b
        random = torch.Generator().manual_seed(self.seed)
        planes = torch.randn(_TABLES * self.bits, self.key_dim, generator=random)
        self._planes = planes.to(keys.device)
        self._center = keys[slots[:: max(1, len(slots) >> 16)]].mean(dim=0)
        self._where = torch.zeros(len(keys), dtype=torch.uint8, device=keys.device)  # [S]
        self._code = keys.new_zeros((len(keys), _TABLES), dtype=torch.int32)  # [S, tables]
        self._tail = slots[:0]
        self._sort()

    def add(self, slots: Tensor, keys: Tensor) -> None:
        """Add keys to the tail, see :class:`~.approximate.Index`."""
        more = int(slots.max()) + 1 - len(self._where) if len(slots) else 0
        if more > 0:  # the memory has grown
            self._where = F.pad(self._where, (0, more))
            self._code = F.pad(self._code, (0, 0, 0, more))
        self._where[slots] = _IN_TAIL
        self._code[slots] = self._bucket(self._sides(keys) > 0)
        self._tail = torch.cat([self._tail, slots])

    def remove(self, slots: Tensor) -> None:
        """Remove slots, see :class:`~.approximate.Index`; the tables skip them."""
        self._where[slots] = _NOWHERE
        self._tail = self._tail[self._where[self._tail] == _IN_TAIL]

    def partition(self, slots: Tensor) -> Partition | None:
        """Return None: tables are made quickly, see :class:`~.approximate.Index`."""
        return None

    def restore(self, keys: Tensor, slots: Tensor, partition: Partition) -> bool:
        """Return False: a partition is no table, see :class:`~.approximate.Index`."""
        return False

    def propose(self, query: Tensor, count: int, effort: int, keys: Tensor) -> Tensor:
        """Propose the nearest of the slots that were found, see :class:`~.approximate.Index`."""
        if len(self._tail) > max(_TAIL, self._codes.shape[1] // _SHARE):
            self._sort()
        return self._propose(query, count, effort, keys)

    def _propose(self, query: Tensor, count: int, effort: int, keys: Tensor) -> Tensor:
        begin, length = self._ranges(query, effort)  # [tables, N, effort]
        pairs = int(length.sum()) + len(query) * len(self._tail)
        if len(query) > 1 and max(pairs, length.numel()) > _PAIRS:
            halves = [self._propose(half, count, effort, keys) for half in query.chunk(2)]
            width = max(half.shape[1] for half in halves)
            return torch.cat([F.pad(h, (0, width - h.shape[1]), value=NOTHING) for h in halves])
        slots = self._gather(begin, length)  # [N, m]
        similarities = dot_products(query, keys, slots)
        return best(similarities, slots.clamp(min=0), min(count, slots.shape[1]))[1]

    def _ranges(self, query: Tensor, effort: int) -> tuple[Tensor, Tensor]:
        """Return where the buckets of queries begin, and their lengths: [tables, N, effort]."""
        sides = self._sides(query)  # [N, tables, b]
        near = sides.abs().argsort(dim=2)[:, :, : effort.bit_length() - 1]  # hyperplanes
        combination = torch.arange(effort, device=query.device)
        across = combination.unsqueeze(1) >> torch.arange(near.shape[2], device=query.device) & 1
        flips = ((1 << near).unsqueeze(2) * across).sum(dim=3)  # [N, tables, effort]
        codes = self._bucket(sides > 0).unsqueeze(2) ^ flips.int()
        codes = codes.transpose(0, 1).contiguous()  # [tables, N, effort]
        flat = codes.flatten(1)
        begin = torch.searchsorted(self._codes, flat)
        length = torch.searchsorted(self._codes, flat, right=True) - begin
        return begin.view_as(codes), length.view_as(codes)

    def _gather(self, begin: Tensor, length: Tensor) -> Tensor:
        """Return the distinct slots in the buckets of each query, and in the tail; -1 for none.

        Args:
            begin: [tables, N, probes], where each bucket begins in the order of its table.
            length: [tables, N, probes], of the buckets.

        Returns:
            [N, m].
        """
        n, probes = begin.shape[1:]
        length, size = length.flatten(), len(self._where)
        bucket = _numbers(length).repeat_interleave(length)
        place = begin.flatten()[bucket] + _numbers_within(length)
        slot = self._order[bucket // (n * probes), place]
        query = bucket // probes % n
        valid = self._where[slot] == _SORTED
        pairs = torch.unique(query[valid] * size + slot[valid])  # by query
        counts = torch.bincount(pairs // size, minlength=n)
        rows = begin.new_full((n, int(counts.max())), NOTHING)
        rows[pairs // size, _numbers_within(counts)] = pairs % size
        return torch.cat([rows, self._tail.expand(n, -1)], dim=1)

    def _sides(self, keys: Tensor) -> Tensor:
        """Return on which side of each hyperplane keys [n, D] are, and how far: [n, tables, b]."""
        return ((keys - self._center) @ self._planes.t()).view(len(keys), _TABLES, self.bits)

    def _bucket(self, side: Tensor) -> Tensor:
        """Return the code of bits [..., b] bool."""
        return (side.int() << torch.arange(self.bits, device=side.device)).sum(-1).int()

    def _sort(self) -> None:
        """Sort all keys into the tables."""
        slots = torch.nonzero(self._where != _NOWHERE).squeeze(1)
        self._codes, order = self._code[slots].t().contiguous().sort(dim=1)  # [tables, n]
        self._order = slots[order]
        self._where[slots] = _SORTED
        self._tail = slots[:0]


def _numbers(rows: Tensor) -> Tensor:
    """Return 0, 1, 2, ... for each of ``rows``."""
    return torch.arange(len(rows), device=rows.device)


def _numbers_within(lengths: Tensor) -> Tensor:
    """Return 0, ..., l - 1 for each of the lengths l, one after the other."""
    ends = lengths.cumsum(0)
    first = (ends - lengths).repeat_interleave(lengths)
    return torch.arange(len(first), device=lengths.device) - first
