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

from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from fairseq_plugins.memory.selection import (
    dot_products,
    largest_packed,
    pack,
    pack_one,
    select,
    unpack,
)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class NearestNeighbors(Protocol):
    """What a memory asks of a search backend. Keys and queries are unit vectors in float32."""

    def search(self, query: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return similarities [N, k] and slots [N, k], best first; -inf and -1 where none."""

    def update(self, keys: Tensor, values: Tensor, changed: Tensor | None = None) -> None:
        """Learn that ``keys`` [S, D] and ``values`` [S] are now the memory.

        ``changed`` [C] names the only slots that differ from the last call; None means any.
        """


class Mirror:
    """Keys as the coarse product sees them: about their mean c, in a short type.

    With x = q - c, a similarity is q . K = q . c + c . (K - c) + x . (K - c). The first term is the
    same for all slots and cannot change their order, so it is left out; the second is a number per
    slot and is rounded twice over, as two more columns; the third is what is rounded. So all that
    rounding loses shrinks with the distances between keys, not with their length.

    Attributes:
        keys: [S, D + 2]: K - c rounded, then c . (K - c) as a sum of two; [S, D], the keys as they
            are, if there is no center.
        center: [D], c; None if nothing is rounded.
        error: largest distance of a K - c from its rounding.
        radius: largest norm of a K - c.
        offset_error: largest error of the sum of two.
    """

    def __init__(self, keys: Tensor, extent: int, dtype: torch.dtype) -> None:
        self.center: Tensor | None = None
        self.error, self.radius, self.offset_error, self.stale = 0.0, 1.0, 0.0, 0
        self.keys = keys
        if dtype != torch.float32:
            self.center = keys[:extent].mean(dim=0)
            self.keys = keys.new_zeros((len(keys), keys.shape[1] + 2), dtype=dtype)
            self.radius = 0.0
            self._copy(keys, slice(extent))

    def update(self, keys: Tensor, changed: Tensor) -> None:
        """Follow the keys [S, D] at the slots ``changed`` [C]."""
        if self.center is None:
            self.keys = keys
        else:
            self._copy(keys, changed)
            self.stale += len(changed)

    def _copy(self, keys: Tensor, slots: Tensor | slice) -> None:
        assert self.center is not None
        dtype = self.keys.dtype
        difference = keys[slots] - self.center  # [C, D]
        rounded = difference.to(dtype)
        offset = difference @ self.center  # [C]
        high = offset.to(dtype)
        low = (offset - high.float()).to(dtype)
        self.keys[slots] = torch.cat([rounded, high[:, None], low[:, None]], dim=1)
        if len(offset):
            lost = (offset - high.float() - low.float()).abs().max()
            self.error = max(self.error, float((difference - rounded).norm(dim=1).max()))
            self.radius = max(self.radius, float(difference.norm(dim=1).max()))
            self.offset_error = max(self.offset_error, float(lost))

    def queries(self, query: Tensor) -> Tensor:
        """The other side of the coarse product: [n, D] -> [n, D + 2], or as they are."""
        if self.center is None:
            return query
        rounded = (query - self.center).to(self.keys.dtype)
        return torch.cat([rounded, rounded.new_ones(len(query), 2)], dim=1)

    def bound(self, query: Tensor, coarse: Tensor) -> Tensor:
        """Greatest float32 similarity [n] that may hide behind a coarse one [n] for [n, D]."""
        unit = torch.finfo(self.keys.dtype).eps / 2  # of the coarse similarity's own rounding
        bound = (coarse + unit * coarse.abs()).double()
        accumulated = query.shape[1] * torch.finfo(torch.float32).eps / 2  # of a sum of D products
        if self.center is None:
            return bound + 2 * accumulated
        x = query - self.center
        # x . (K - c) = x' . K' + (x - x') . (K - c) + x' . (K - c - K'), where ' is rounded.
        length = x.norm(dim=1) * (1 + unit)
        bound += (x - x.to(self.keys.dtype)).norm(dim=1) * self.radius + length * self.error
        bound += query.double() @ self.center.double()
        # The float32 sums: of the similarity itself, of c . (K - c), of the coarse product.
        return bound + self.offset_error + accumulated * (1 + self.radius * (1 + length))


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
        packed = query.new_full((len(query), k), pack_one(-torch.inf), dtype=torch.int64)
        if found and len(query):
            assert self.mirror is not None  # update() comes before search()
            candidates = found + max(found // 2, self.spare)
            packed[:, :found] = self._search_rows(query, found, candidates, self.mirror)
        return unpack(packed)

    def _search_rows(self, query: Tensor, k: int, candidates: int, mirror: Mirror) -> Tensor:
        """Packed k best [N, k].

        Rows that rounding leaves in doubt are searched again, with the keys as they are, and
        then with four times the candidates.
        """
        candidates = min(candidates, self.extent)
        step = max(1, self.budget // self._row_bytes(candidates, mirror.keys.element_size()))
        blocks, doubtful = [], []
        for rows in query.split(step):
            best, doubt = self._search_block(rows, k, candidates, mirror)
            blocks.append(best)
            doubtful.append(doubt)
        packed = torch.cat(blocks)  # [N, k]
        again = torch.nonzero(torch.cat(doubtful)).squeeze(1)
        if len(again):
            if mirror.center is None:
                candidates *= 4
            exact = Mirror(self.keys, self.extent, torch.float32)
            packed[again] = self._search_rows(query[again], k, candidates, exact)
        return packed

    def _search_block(
        self, query: Tensor, k: int, candidates: int, mirror: Mirror
    ) -> tuple[Tensor, Tensor]:
        """One block of rows: packed k best [n, k], and which rows are in doubt [n]."""
        n = len(query)
        if candidates == self.extent:
            slots = torch.arange(self.extent, device=query.device).expand(n, -1)
            return self._rescore(query, slots, k), query.new_zeros(n, dtype=torch.bool)
        coarse, group = self._coarse(query, candidates, mirror)  # [n, columns]
        slots, left_out = select(coarse, group, candidates)  # [n, candidates], [n]
        packed = self._rescore(query, slots, k)
        kth = unpack(packed[:, -1])[0]
        doubt = (mirror.bound(query, left_out) >= kth) & (left_out > -torch.inf)
        return packed, doubt

    def _group(self, candidates: int) -> int:
        """Slots per group: about the square root of slots over candidates, a power of two."""
        ratio = self.extent / candidates
        return 1 << max(0, round(np.log2(ratio) / 2)) if ratio > 4 else 1

    def _columns(self, candidates: int) -> int:
        group = self._group(candidates)
        return -(-self.extent // group) * group

    def _row_bytes(self, candidates: int, element_size: int) -> int:
        """What a row takes while its candidates are selected."""
        columns = self._columns(candidates)
        selection = 4 + 8  # a group's maximum in float32, and its index
        return columns * element_size + columns // self._group(candidates) * selection

    def _coarse(self, query: Tensor, candidates: int, mirror: Mirror) -> tuple[Tensor, int]:
        """Coarse similarities [n, columns] in the workspace; -inf where no key is."""
        group, columns = self._group(candidates), self._columns(candidates)
        rounded = mirror.queries(query)
        needed = len(query) * columns * rounded.element_size()
        space = self._workspace  # bytes
        if space is None or len(space) < needed or space.device != query.device:
            self._workspace = space = rounded.new_empty(needed, dtype=torch.uint8)
        coarse = space[:needed].view(rounded.dtype).view(len(query), columns)
        torch.mm(rounded, mirror.keys[: self.extent].t(), out=coarse[:, : self.extent])
        coarse[:, self.extent :] = -torch.inf
        if len(self.holes):
            coarse.index_fill_(1, self.holes, -torch.inf)
        return coarse, group

    def _rescore(self, query: Tensor, slots: Tensor, k: int) -> Tensor:
        """The k best of candidate ``slots`` [n, m] by float32 similarity, packed, best first."""
        similarities = dot_products(query, self.keys, slots)  # [n, m]
        if len(self.holes):
            similarities = similarities.masked_fill(torch.isin(slots, self.holes), -torch.inf)
        return largest_packed(pack(similarities, slots), k)


BACKENDS = {"exact": ExactSearch}


def coarse_dtype(name: str, device: torch.device) -> torch.dtype:
    """The type of the coarse product: ``auto`` takes bfloat16 where it is native."""
    if name != "auto":
        return DTYPES[name]
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = native_bfloat16()
    return torch.bfloat16 if native else torch.float32


def native_bfloat16() -> bool:
    """This processor multiplies bfloat16 without emulation."""
    supported = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return supported and not cpu_flags().isdisjoint({"avx512_bf16", "amx_bf16"})


@lru_cache
def cpu_flags() -> frozenset[str]:
    """Instruction sets of this processor, as Linux names them; empty elsewhere."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
            return frozenset(next(line for line in lines if line.startswith("flags")).split())
    except (OSError, StopIteration):
        return frozenset()
