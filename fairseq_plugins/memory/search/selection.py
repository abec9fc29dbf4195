"""Exact search with a fixed number of candidates, which suits accelerators.

1. *Coarse*: one matrix product of all queries with all keys, minus their mean.
2. *Select*: the m > k best slots of every query by coarse similarity. A long row is first divided
   into groups; the m best slots are in the m groups with the greatest maxima.
3. *Re-score*: the m candidates in float32; the k best of them, with ties to the lower slot.

If the k-th similarity of a query is not clearly above everything that step 2 left out, the query is
in doubt and is searched again: without rounding, then with a larger m. Nothing waits for the device
before that is known.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from math import log2

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_plugins.memory.hits import NOTHING
from fairseq_plugins.memory.search.contents import Contents, Workspace
from fairseq_plugins.memory.search.mirror import Mirror, float32_sums
from fairseq_plugins.memory.search.ordering import from_order, in_order, pack, unpack

TILE = 8192  # slots whose similarities are computed at once


@dataclass
class Selection:
    """A search for any device; on a CPU it is several times slower than ``Threshold``."""

    budget: int
    """Largest size of the coarse similarities and the selection of candidates, in bytes."""
    spare: int = 64
    """Least number of candidates beyond k that are re-scored; half of k if that is more."""
    workspace: Workspace = field(default_factory=Workspace)

    def search(self, query: Tensor, k: int, contents: Contents) -> tuple[Tensor, Tensor]:
        """Return the similarities and slots [N, k] of the k best, best first; k <= extent."""
        return self._search_rows(query, k, k + max(k // 2, self.spare), contents)

    def _search_rows(
        self, query: Tensor, k: int, candidates: int, contents: Contents
    ) -> tuple[Tensor, Tensor]:
        """Search; search rows in doubt again, with the original keys, then with 4 times m."""
        candidates = min(candidates, contents.extent)
        blocks = query.split(self._rows(candidates, contents))
        found = [self._search_block(rows, k, candidates, contents) for rows in blocks]
        similarities, slots, doubt = (torch.cat(parts) for parts in zip(*found, strict=True))
        again = torch.nonzero(doubt).squeeze(1)
        if len(again):
            if contents.mirror.center is None:
                candidates *= 4
            unrounded = Mirror(contents.keys, contents.extent, torch.float32)
            similarities[again], slots[again] = self._search_rows(
                query[again], k, candidates, replace(contents, mirror=unrounded)
            )
        return similarities, slots

    def _search_block(
        self, query: Tensor, k: int, candidates: int, contents: Contents
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Search one block of rows; return similarities and slots [n, k], and rows in doubt [n]."""
        n = len(query)
        if candidates == contents.extent:
            slots = torch.arange(contents.extent, device=query.device).expand(n, -1)
            return *_rescore(query, slots, k, contents), query.new_zeros(n, dtype=torch.bool)
        tiles = self._coarse(query, candidates, contents)
        slots, left_out = select(tiles, candidates)  # [n, candidates], [n]
        similarities, slots = _rescore(query, slots, k, contents)
        bound = contents.mirror.bound(query, left_out)
        return similarities, slots, (bound >= similarities[:, -1]) & (left_out > -torch.inf)

    def _shape(self, candidates: int, extent: int) -> tuple[int, int, int]:
        """Return the slots per group, the number of groups, and the group members per tile.

        A group has about the square root of slots / candidates, a power of two.
        """
        ratio = extent / candidates
        members = 1 << max(0, round(log2(ratio) / 2)) if ratio > 4 else 1
        groups = -(-extent // members)
        return members, groups, min(members, max(1, TILE // groups))

    def _rows(self, candidates: int, contents: Contents) -> int:
        """Return the number of rows to search at once."""
        members, groups, at_once = self._shape(candidates, contents.extent)
        packed = 3 * groups  # the maximum of each group, also packed with its position
        row = members * groups + at_once * groups + packed
        return max(1, self.budget // contents.mirror.keys.element_size() // row)

    def _coarse(
        self, query: Tensor, candidates: int, contents: Contents
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield coarse similarities tile by tile, -inf for holes, with space of the same shape."""
        members, groups, at_once = self._shape(candidates, contents.extent)
        rounded = contents.mirror.queries(query)
        n, row, tile = len(query), members * groups, at_once * groups
        space = self.workspace.take(n * (row + tile) * rounded.element_size(), query.device)
        coarse, scratch = space.view(rounded.dtype).split([n * row, n * tile])
        for begin in range(0, row, tile):
            end = min(begin + tile, row)
            filled = min(end, contents.extent)
            similarity = coarse[n * begin : n * end].view(n, end - begin)
            with float32_sums():
                out = similarity[:, : filled - begin]
                torch.mm(rounded, contents.mirror.keys[begin:filled].t(), out=out)
            similarity[:, filled - begin :] = -torch.inf
            similarity.index_fill_(1, contents.holes_between(begin, end) - begin, -torch.inf)
            shape = n, -1, groups
            yield similarity.view(shape), scratch[: similarity.numel()].view(shape)


def _rescore(query: Tensor, slots: Tensor, k: int, contents: Contents) -> tuple[Tensor, Tensor]:
    """Return the k best of the candidates ``slots`` [n, m] by float32 similarity, best first."""
    if not len(contents.holes):
        return best(dot_products(query, contents.keys, slots), slots, k)
    # If there are fewer keys than candidates, some candidates are holes or beyond the last slot.
    missing = torch.isin(slots, contents.holes) | (slots >= contents.extent)
    similarities = dot_products(query, contents.keys, slots.masked_fill(missing, NOTHING))
    return best(similarities, slots, k)


def dot_products(query: Tensor, keys: Tensor, slots: Tensor) -> Tensor:
    """Compute q_n . K[slots[n, j]] in float32: [N, D], [S, D], [N, m] -> [N, m]; -inf for slot -1.

    The slots of a row are distinct, except for -1.
    """
    there = slots != NOTHING
    if query.is_cuda:
        products = torch.bmm(keys[slots.clamp(min=0)], query.unsqueeze(2)).squeeze(2)
        return products.masked_fill(~there, -torch.inf)
    # On a CPU, a product sampled at given positions needs no copy of the keys: 5 times faster.
    ends = there.sum(dim=1).cumsum(0)
    with torch.sparse.check_sparse_tensor_invariants(False):
        places = torch.sparse_csr_tensor(
            F.pad(ends, (1, 0)),
            slots[there],
            query.new_zeros(int(ends[-1]) if len(ends) else 0),
            (len(query), len(keys)),
        )
        sampled = torch.sparse.sampled_addmm(places, query, keys.t(), beta=0.0)
    products = query.new_full(slots.shape, -torch.inf)
    products[there] = sampled.values()
    return products


def best(similarity: Tensor, slot: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k best of every row, best first, with ties to the lower slot.

    Args:
        similarity: [n, m] float32.
        slot: [n, m] int64, not negative.
        k: number of results per row.

    Returns:
        Similarities [n, k] and slots [n, k]; -1 where the first is -inf.
    """
    return unpack(pack(similarity, slot).topk(k, dim=1, largest=False).values)


def select(tiles: Iterable[tuple[Tensor, Tensor]], m: int) -> tuple[Tensor, Tensor]:
    """Return the m greatest columns of every row, in any order.

    Args:
        tiles: consecutive members of all groups, [n, members, groups] of any floating-point type,
            each with scratch space of the same shape; both are overwritten. Group j contains the
            columns j, j + groups, j + 2 groups, ...
        m: number of columns to select.

    Returns:
        Columns [n, m], and an upper bound [n] in float32 of every value that was not selected.
    """
    members: list[Tensor] = []
    maxima = None
    for tile, scratch in tiles:
        ordered = in_order(tile, scratch)
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
    # A group that was left out has no value above the least of m group maxima, so none above the
    # least of the m greatest values.
    return best, from_order(values.amin(1), dtype).float()


def largest(values: Tensor, m: int) -> tuple[Tensor, Tensor]:
    """Return the m greatest numbers of every row, in any order.

    Value and column are packed into one integer: selecting numbers is twice as fast as selecting
    their positions.

    Args:
        values: [n, columns] int16 or int32.
        m: number of results per row.

    Returns:
        Values [n, m] and their columns [n, m] int64.
    """
    columns = values.shape[1]
    small = values.dtype == torch.int16 and columns <= 1 << 16
    word, shift = (torch.int32, 16) if small else (torch.int64, 32)
    column = torch.arange(columns, dtype=word, device=values.device)
    packed = values.to(word).bitwise_left_shift_(shift).bitwise_or_(column)
    packed = packed.topk(m, dim=1, sorted=False).values
    return (packed >> shift).to(values.dtype), (packed & ((1 << shift) - 1)).long()
