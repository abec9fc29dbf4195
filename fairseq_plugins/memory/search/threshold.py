"""Exact search with a threshold, which suits CPUs.

Coarse similarities are computed tile by tile, in the cache, with slots in rows and queries in
columns. Each query has a *floor*: the lowest coarse similarity, rounding included, that may belong
to one of its k nearest slots. Similarities at or above the floor are noted, re-scored in float32,
and sorted.

The first floors come from groups of slots: at least k slots reach the k-th greatest of their
maxima.
Floors rise once enough has been noted to find the k-th greatest of it. The floor already allows for
rounding, so nothing has to be searched again.

This code uses numpy, whose comparisons, selections and sorting use vector instructions and are
several times faster than those of torch.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fairseq_plugins.memory.search.contents import Contents, Workspace
from fairseq_plugins.memory.search.ordering import NO_PAIR, from_order, in_order, pack, unpack

ROWS = 512  # largest number of queries at once: enough for an efficient product
GROUPS = 4  # groups per neighbour for the first floors
LANES = 16  # the number of rows of a tile that are compared at once is a multiple of this
NOTED = 48  # most bytes that one noted similarity takes while it is sorted

Floors = Callable[[Tensor], Tensor]

with warnings.catch_warnings():  # torch warns once that they are in beta; what we use is tested
    warnings.simplefilter("ignore")
    torch.zeros(1, 1).to_sparse_csr()


@dataclass
class Threshold:
    """A search for CPUs."""

    budget: int
    """Largest size of coarse similarities and notes, in bytes."""
    first: int = 8192
    """Least number of slots of the first tile: with few slots, floors would be too low."""
    cache: int = 2 << 20
    """Size of the coarse similarities of all other tiles, in bytes per thread."""
    workspace: Workspace = field(default_factory=Workspace)

    def search(self, query: Tensor, k: int, contents: Contents) -> tuple[Tensor, Tensor]:
        """Return the similarities and slots [N, k] of the k best, best first; k <= extent."""
        held = self.budget // 2 // _bytes(contents)  # coarse similarities at once
        rows = max(1, min(ROWS, held // self.first))
        blocks = query.tensor_split(-(-len(query) // rows))
        found = [self._search_block(block, k, contents) for block in blocks]
        similarities, slots = zip(*found, strict=True)
        return torch.cat(similarities), torch.cat(slots)

    def _search_block(self, query: Tensor, k: int, contents: Contents) -> tuple[Tensor, Tensor]:
        found = self._candidates(query, k, contents)
        if found is None:  # more ties than the budget allows
            halves = [self._search_block(half, k, contents) for half in query.chunk(2)]
            return torch.cat([half[0] for half in halves]), torch.cat([half[1] for half in halves])
        slots, queries = found
        similarities = pair_products(query, contents.keys, queries, slots)
        return best(similarities, queries, slots, len(query), k)

    def _candidates(
        self, query: Tensor, k: int, contents: Contents
    ) -> tuple[NDArray, NDArray] | None:
        """Return slots and queries of all pairs to re-score, by slot; None if they are too many."""
        mirror, n = contents.mirror, len(query)
        errors, rounded = mirror.errors(query), mirror.queries(query)
        first, later = self._lengths(n, contents)
        longest = min(first, -(-contents.extent // LANES) * LANES)
        space = self.workspace.take(n * longest * _bytes(contents), query.device)
        mask, coarse = space.split([n * longest, len(space) - n * longest])
        noted = Noted(
            n,
            k,
            lambda kth: mirror.floor(kth, errors),
            rounded.dtype,
            mask.view(torch.bool).numpy(),
        )
        begin, end = 0, first
        while begin < contents.extent:
            tile = _tile(rounded, contents, begin, end, coarse.view(rounded.dtype))
            noted.add(tile, begin)
            if n > 1 and noted.count * NOTED > self.budget // 2:
                return None
            begin, end = end, end + later
        return noted.pairs()

    def _lengths(self, queries: int, contents: Contents) -> tuple[int, int]:
        """Return the number of slots of the first tile and of all others, in full lanes."""
        cache = self.cache * torch.get_num_threads() // contents.mirror.keys.element_size()
        most = min(cache, self.budget // 2 // _bytes(contents)) // queries
        first, later = (-(-slots // LANES) * LANES for slots in (self.first, most - LANES + 1))
        return max(first, later), max(LANES, later)


def _bytes(contents: Contents) -> int:
    """Return the bytes per slot and query: a coarse similarity, and its comparison."""
    return contents.mirror.keys.element_size() + 1


def _tile(rounded: Tensor, contents: Contents, begin: int, end: int, space: Tensor) -> Tensor:
    """Return coarse similarities [slots, n] from slot ``begin`` on, -inf where no key is."""
    n, end = len(rounded), min(end, contents.extent)
    slots = end - begin
    tile = space[: n * (-(-slots // LANES) * LANES)].view(-1, n)
    torch.mm(contents.mirror.keys[begin:end], rounded.t(), out=tile[:slots])
    tile[slots:] = -torch.inf
    tile.index_fill_(0, contents.holes_between(begin, end) - begin, -torch.inf)
    return tile


class Noted:
    """Similarities that may be among the k greatest of their query, and their slots.

    Args:
        queries: n, the number of queries.
        k: number of neighbours of a query.
        floors: maps the k-th greatest coarse similarity [n] to the lowest [n] that matters.
        dtype: of coarse similarities.
        mask: space for as many booleans as the longest tile has similarities.
    """

    def __init__(
        self, queries: int, k: int, floors: Floors, dtype: torch.dtype, mask: NDArray
    ) -> None:
        self.queries, self.k, self.floors, self.mask = queries, k, floors, mask
        self.dtype = dtype
        self.nothing = float(_numbers(torch.tensor([-torch.inf], dtype=dtype), True)[0])
        self.floor: NDArray | None = None  # [n], in the number format of the tiles
        self.ordered = True
        self.values: list[NDArray] = []
        self.places: list[NDArray] = []  # slot x n + query
        self.count, self.limit = 0, 3 * k * queries

    def add(self, tile: Tensor, begin: int) -> None:
        """Note the similarities of a tile [slots, n] that matter; the tile is overwritten."""
        numbers = self._start(tile) if self.floor is None else _numbers(tile, self.ordered)
        assert self.floor is not None
        lanes = LANES * self.queries  # long rows are compared faster
        reached = self.mask[: numbers.size].reshape(-1, lanes)
        np.greater_equal(numbers.reshape(-1, lanes), np.tile(self.floor, LANES), out=reached)
        places = np.flatnonzero(reached)
        self.values.append(numbers.reshape(-1)[places])
        self.places.append(places + begin * self.queries)
        self.count += len(places)
        if self.count > self.limit:
            self._rise()

    def _start(self, tile: Tensor) -> NDArray:
        """Find the first floors; return the tile as numbers that can be compared with them.

        If the floor is above zero, the bits of short floats can be compared directly. This is
        almost always so, because the mean of all keys was subtracted. Otherwise they are put in
        order.
        """
        short = tile.dtype != torch.float32
        self.ordered = not short
        numbers = _numbers(tile, self.ordered)
        kth = self._kth_of_groups(numbers)
        self.floor = self._floor(kth)
        if short and min(kth.min(), self.floor.min()) <= 0:
            self.ordered = True
            numbers = _numbers(tile, self.ordered)
            self.floor = self._floor(self._kth_of_groups(numbers))
        return numbers

    def _kth_of_groups(self, numbers: NDArray) -> NDArray:
        """Return a number [n] that at least k slots reach: the k-th greatest maximum of groups."""
        members = max(1, len(numbers) // (GROUPS * self.k))
        groups = len(numbers) // members
        of_groups = numbers[: groups * members].reshape(members, groups * self.queries)
        maxima = np.maximum.reduce(of_groups, axis=0).reshape(groups, self.queries)
        return self._kth_greatest(np.ascontiguousarray(maxima.T))

    def _kth_greatest(self, rows: NDArray) -> NDArray:
        """Return the k-th greatest number of each row [n, w]; that of -inf if a row is shorter."""
        cut = rows.shape[1] - self.k
        if cut < 0:
            return np.full(len(rows), self.nothing, dtype=rows.dtype)
        return np.partition(rows, cut, axis=1)[:, cut]

    def _floor(self, kth: NDArray) -> NDArray:
        numbers = torch.from_numpy(kth)
        floats = numbers if self.dtype == torch.float32 else from_order(numbers, self.dtype)
        lowest = torch.finfo(self.dtype).min  # above -inf, which marks slots without a key
        floor = self.floors(floats).clamp(min=lowest).to(self.dtype)
        return (floor if self.dtype == torch.float32 else in_order(floor)).numpy()

    def _rise(self) -> None:
        """Compute the floors again from the notes, and drop notes below them."""
        values, places = np.concatenate(self.values), np.concatenate(self.places)
        queries = places % self.queries
        rows = by_query(queries, values, self.queries, self.nothing)
        self.floor = self._floor(self._kth_greatest(rows))
        stay = np.flatnonzero(values >= self.floor[queries])
        self.values, self.places, self.count = [values[stay]], [places[stay]], len(stay)
        self.limit = self.count + 2 * self.k * self.queries

    def pairs(self) -> tuple[NDArray, NDArray]:
        """Return the slots and queries [L] of the remaining notes, by slot."""
        if len(self.places) > 1:
            self._rise()
        slots = self.places[0] // self.queries
        return slots, self.places[0] - slots * self.queries


def _numbers(tile: Tensor, ordered: bool) -> NDArray:
    """Return a tile for numpy: float32, or the bits of short floats, in order if ``ordered``."""
    if tile.dtype == torch.float32:
        return tile.numpy()
    return (in_order(tile) if ordered else tile.view(torch.int16)).numpy()


def by_query(queries: NDArray, values: NDArray, n: int, fill: float) -> NDArray:
    """Arrange values [L] in a row [n, w] for each query, in their order; fill up with ``fill``."""
    order = np.argsort(queries.astype(np.int16), kind="stable")  # a radix sort; n <= ROWS
    counts = np.bincount(queries, minlength=n)
    width = int(counts.max())
    rows = np.full((n, width), fill, dtype=values.dtype)
    begins = np.arange(n) * width - (np.cumsum(counts) - counts)
    rows.reshape(-1)[np.arange(len(queries)) + begins.repeat(counts)] = values[order]
    return rows


def pair_products(query: Tensor, keys: Tensor, queries: NDArray, slots: NDArray) -> Tensor:
    """Compute q . K of pairs [L] in float32; pairs of the same slot must be adjacent.

    Keys are read in order, so they need not be in the cache. A product does not depend on what else
    is computed.
    """
    ends = np.cumsum(np.bincount(slots, minlength=len(keys)))
    rows = torch.from_numpy(np.concatenate([[0], ends]))
    with torch.sparse.check_sparse_tensor_invariants(False):
        places = torch.sparse_csr_tensor(
            rows, torch.from_numpy(queries), query.new_zeros(len(slots)), (len(keys), len(query))
        )
        return torch.sparse.sampled_addmm(places, keys, query.t(), beta=0.0).values()


def best(
    similarity: Tensor, queries: NDArray, slots: NDArray, n: int, k: int
) -> tuple[Tensor, Tensor]:
    """Return the k best of every query [n, k] from pairs [L], best first, ties to the lower slot.

    There are fewer columns if no query has k pairs; -inf and -1 where a query has fewer.
    """
    rows = by_query(queries, pack(similarity, torch.from_numpy(slots)).numpy(), n, NO_PAIR)
    if rows.shape[1] > 2 * k:
        rows = np.partition(rows, k - 1, axis=1)[:, :k]
    return unpack(torch.from_numpy(np.sort(rows, axis=1)[:, :k]))
