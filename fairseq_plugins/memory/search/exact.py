"""Nearest-neighbour search over the keys of a memory.

``ExactSearch`` finds the k best slots of every query in three steps, none of which sorts a
row as long as the memory:

1. *Coarse*: one matrix product of all queries with all keys, less their mean, in bfloat16
   where that is fast.
2. *Select*: the m > k best of every row by their coarse similarity. A long row is first cut
   into groups; the m best slots lie in the m groups with the greatest maxima.
3. *Re-score*: the m candidates in float32, and the k best of those, ties to the lower slot.

Rounding in step 1 is bounded, so a row whose k-th similarity is not clear of everything that
step 2 left out is recognised, and searched again without rounding, and with a larger m. The
result is therefore that of a full float32 search, and the similarity of a query and a key does
not depend on which other queries are in the batch.
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_plugins.memory.hits import NOTHING
from fairseq_plugins.memory.search.mirror import DTYPES, Mirror, coarse_dtype, float32_sums
from fairseq_plugins.memory.search.selection import best, dot_products, select

CACHE = 4 << 20  # bytes of coarse similarities that a thread works on at once
ROWS = 256  # that make a product efficient
TILE = 8192  # slots whose similarities stay in the cache


class NearestNeighbors(Protocol):
    """What a memory asks of a search backend. Keys and queries are unit vectors in float32."""

    def search(self, query: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return similarities [N, k] and slots [N, k], best first; -inf and -1 where none."""

    def update(self, keys: Tensor, values: Tensor, changed: Tensor | None = None) -> None:
        """Learn that ``keys`` [S, D] and ``values`` [S] are now the memory.

        ``changed`` [C] names the only slots that differ from the last call; None means any.
        """


class ExactSearch:
    """Exact search by a blocked matrix product, on CPU and CUDA.

    Args:
        dtype: type of the coarse product: ``float32``, ``bfloat16``, ``float16`` or ``auto``.
        budget_mb: MiB that the coarse similarities and the selection of candidates may take at
            once. One row is always held.
        spare: how many candidates beyond k are re-scored at least; half of k if that is more.
            Too small a value costs time, never exactness.
    """

    def __init__(self, dtype: str = "auto", budget_mb: int = 64, spare: int = 64) -> None:
        if dtype != "auto" and dtype not in DTYPES:
            raise ValueError(f"search dtype {dtype!r} is not one of auto, {', '.join(DTYPES)}")
        if budget_mb <= 0:
            raise ValueError(f"search budget must be at least 1 MiB, not {budget_mb}")
        self.dtype = dtype
        self.budget = budget_mb << 20
        self.spare = spare
        self.keys = torch.empty(0, 0)
        self.mirror: Mirror | None = None
        self.holes = torch.empty(0, dtype=torch.int64)  # empty slots below ``extent``
        self.extent = 0  # one more than the highest filled slot
        self._workspace: Tensor | None = None

    def __getstate__(self) -> dict:
        """Copies and pickles leave the scratch space behind."""
        return self.__dict__ | {"_workspace": None}

    @torch.inference_mode(False)  # what is kept here must outlive a caller's inference mode
    def update(self, keys: Tensor, values: Tensor, changed: Tensor | None = None) -> None:
        """See :class:`NearestNeighbors`."""
        filled = values >= 0
        ends = torch.nonzero(filled)[-1:]
        self.extent = int(ends) + 1 if len(ends) else 0
        self.holes = torch.nonzero(~filled[: self.extent]).squeeze(1)
        self.keys = keys
        mirror = self.mirror
        # The center is worth finding anew after as many changes as there are keys.
        if changed is None or mirror is None or mirror.stale + len(changed) >= self.extent:
            self.mirror = Mirror(keys, self.extent, coarse_dtype(self.dtype, keys.device))
        else:
            mirror.update(keys, changed)

    @torch.inference_mode(False)
    def search(self, query: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Find the k best slots of unit queries [N, D]. See :class:`NearestNeighbors`."""
        found = min(k, self.extent)
        similarities = query.new_empty(len(query), 0)
        slots = similarities.long()
        if found and len(query):
            assert self.mirror is not None  # update() comes before search()
            candidates = found + max(found // 2, self.spare)
            similarities, slots = self._search_rows(query, found, candidates, self.mirror)
        missing = 0, k - similarities.shape[1]
        return F.pad(similarities, missing, value=-torch.inf), F.pad(slots, missing, value=NOTHING)

    def _search_rows(
        self, query: Tensor, k: int, candidates: int, mirror: Mirror
    ) -> tuple[Tensor, Tensor]:
        """Similarities and slots of the k best [N, k].

        Rows that rounding leaves in doubt are searched again, with the keys as they are, and
        then with four times the candidates.
        """
        candidates = min(candidates, self.extent)
        blocks = query.split(self._rows(candidates, mirror))
        found = [self._search_block(rows, k, candidates, mirror) for rows in blocks]
        similarities, slots, doubt = (torch.cat(parts) for parts in zip(*found, strict=True))
        again = torch.nonzero(doubt).squeeze(1)
        if len(again):
            if mirror.center is None:
                candidates *= 4
            exact = Mirror(self.keys, self.extent, torch.float32)
            similarities[again], slots[again] = self._search_rows(
                query[again], k, candidates, exact
            )
        return similarities, slots

    def _search_block(
        self, query: Tensor, k: int, candidates: int, mirror: Mirror
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One block of rows: similarities and slots [n, k], and which rows are in doubt [n]."""
        n = len(query)
        if candidates == self.extent:
            slots = torch.arange(self.extent, device=query.device).expand(n, -1)
            return *self._rescore(query, slots, k), query.new_zeros(n, dtype=torch.bool)
        tiles = self._coarse(query, candidates, mirror)
        slots, left_out = select(tiles, candidates)  # [n, candidates], [n]
        similarities, slots = self._rescore(query, slots, k)
        doubt = (mirror.bound(query, left_out) >= similarities[:, -1]) & (left_out > -torch.inf)
        return similarities, slots, doubt

    def _shape(self, candidates: int) -> tuple[int, int, int]:
        """How slots are grouped: slots a group, groups, and how many of its slots a tile has.

        A group has about the square root of slots over candidates, a power of two.
        """
        ratio = self.extent / candidates
        members = 1 << max(0, round(np.log2(ratio) / 2)) if ratio > 4 else 1
        groups = -(-self.extent // members)
        return members, groups, min(members, max(1, TILE // groups))

    def _rows(self, candidates: int, mirror: Mirror) -> int:
        """How many rows to search at once."""
        members, groups, at_once = self._shape(candidates)
        row = members * groups
        packed = 3 * groups  # each group's maximum, and packed with its place
        size = mirror.keys.element_size()
        rows = self.budget // size // (row + at_once * groups + packed)
        if not mirror.keys.is_cuda:  # what is in the cache is selected from twice as fast
            fitting = CACHE * torch.get_num_threads() // (row * size)
            rows = min(rows, max(fitting, ROWS))
        return max(1, rows)

    def _coarse(
        self, query: Tensor, candidates: int, mirror: Mirror
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Coarse similarities tile by tile, -inf where no key is; and space of the same shape."""
        members, groups, at_once = self._shape(candidates)
        rounded = mirror.queries(query)
        n, row, tile = len(query), members * groups, at_once * groups
        space = self._space(n * (row + tile) * rounded.element_size(), query.device)
        coarse, scratch = space.view(rounded.dtype).split([n * row, n * tile])
        for begin in range(0, row, tile):
            end = min(begin + tile, row)
            filled = min(end, self.extent)
            similarity = coarse[n * begin : n * end].view(n, end - begin)
            with float32_sums():
                out = similarity[:, : filled - begin]
                torch.mm(rounded, mirror.keys[begin:filled].t(), out=out)
            similarity[:, filled - begin :] = -torch.inf
            if len(self.holes):
                holes = self.holes[(self.holes >= begin) & (self.holes < end)]
                similarity.index_fill_(1, holes - begin, -torch.inf)
            shape = n, -1, groups
            yield similarity.view(shape), scratch[: similarity.numel()].view(shape)

    def _space(self, size: int, device: torch.device) -> Tensor:
        """So many bytes, not cleared: fresh memory costs more than what is done with it."""
        space = self._workspace
        if space is None or len(space) < size or space.device != device:
            self._workspace = space = torch.empty(size, dtype=torch.uint8, device=device)
        return space[:size]

    def _rescore(self, query: Tensor, slots: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k best of candidate ``slots`` [n, m] by float32 similarity, best first."""
        if not len(self.holes):
            return best(dot_products(query, self.keys, slots), slots, k)
        # Where keys are fewer than candidates, some of these are holes, or beyond the last slot.
        missing = torch.isin(slots, self.holes) | (slots >= self.extent)
        slots = slots.clamp(max=self.extent - 1)
        similarities = dot_products(query, self.keys, slots).masked_fill(missing, -torch.inf)
        return best(similarities, slots, k)


BACKENDS = {"exact": ExactSearch}
