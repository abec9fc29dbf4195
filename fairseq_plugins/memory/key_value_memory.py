"""The life-long key-value memory of "Learning to Remember Rare Events".

Kaiser, Nachum, Roy, Bengio (ICLR 2017), section 2. A memory of S slots consists of three arrays:
keys K (unit vectors), values V (integers) and ages A. The k keys nearest to a query q answer it. A
margin loss trains the network that makes the queries, so that they are close to keys with the
correct value. Once the correct value of a query is known, the query is either merged into the key
that answered correctly or written to a new slot. The memory itself learns nothing: it has no
parameters, so seeing a pair once is enough to remember it.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_plugins.memory.collective import gather_rows
from fairseq_plugins.memory.config import MemoryConfig
from fairseq_plugins.memory.hits import NOTHING, CommitReport, MemoryHits, Similarities
from fairseq_plugins.memory.slots import MemorySlots
from fairseq_plugins.memory.staging import StagedPairs, Staging


class KeyValueMemory(MemorySlots):
    """A memory that is queried by similarity and written for its whole life.

    Args:
        size: S, the number of slots.
        key_dim: D, the width of keys and queries.
        num_values: values are integers in [0, num_values).
        more: settings of :class:`MemoryConfig` that follow these, in its order.
        settings: the same by name, for instance ``neighbors=64``.

    Example::

        memory = KeyValueMemory(size=1000, key_dim=2, num_values=10)
        memory.write(torch.tensor([[3.0, 4.0]]), torch.tensor([7]))
        memory.query(torch.tensor([[0.6, 0.8]])).values[0, 0]  # 7

    Raises:
        ValueError: if a size is not positive or the search is unknown.
    """

    def __init__(
        self, size: int, key_dim: int, num_values: int, *more: Any, **settings: Any
    ) -> None:
        config = MemoryConfig(size, key_dim, num_values, *more, **settings)
        super().__init__(config)
        self.neighbors, self.margin = config.neighbors, config.margin
        self.temperature = config.temperature
        self._staged = Staging()

    @classmethod
    def from_config(cls, config: MemoryConfig) -> "KeyValueMemory":
        """Create an empty memory from its settings."""
        return cls(**vars(config))

    def extra_repr(self) -> str:
        """Return the settings that ``print(model)`` shows."""
        return (
            f"size={self.size}, key_dim={self.key_dim}, num_values={self.num_values}, "
            f"neighbors={self.neighbors}, margin={self.margin}, filled={len(self)}"
        )

    # --- Reading ----------------------------------------------------------------------------------

    def query(self, query: Tensor, neighbors: int | None = None) -> MemoryHits:
        """Find the k nearest neighbours of each query (section 2).

        Args:
            query: [N, D], any floating-point type; it is normalised here.
            neighbors: k; None for the memory's own.

        Returns:
            The neighbours. Gradients flow from their similarities to ``query``, not to keys.

        Raises:
            ValueError: if the shape is wrong or a number is not finite.
        """
        count = self.neighbors if neighbors is None else neighbors
        return self._hits(query, count, count)

    def query_apart(self, query: Tensor) -> MemoryHits:
        """Find the k nearest neighbours among the slots that were taught, and k among all others.

        So what was taught takes no place away from anything else.

        Args:
            query: [N, D], any float type; normalised here.

        Returns:
            Both together [N, 2 k], best first; the first k are what :meth:`query` finds. [N, k] if
            nothing was taught. The weights of all but the first k are 0.
        """
        return self._hits(query, self.neighbors, 2 * self.neighbors)

    def _hits(self, query: Tensor, count: int, kept: int) -> MemoryHits:
        unit = self._unit(query)
        self._refresh()
        similarities, slots = (found[:, :kept] for found in self._search.search(unit, count))
        if unit.requires_grad and torch.is_grad_enabled():
            similarities = Similarities.apply(unit, similarities, slots, self.keys, self._sum_keys)
        values = _at(self.values, slots)
        if not len(self):
            weights = torch.zeros_like(similarities)
        else:
            weights = torch.softmax(self.temperature * similarities[:, :count], dim=1)
            weights = F.pad(weights, (0, similarities.shape[1] - count))
        return MemoryHits(values, similarities, slots, weights)

    def likeness_taught(self, query: Tensor) -> Tensor:
        """Return the similarity [N] of queries [N, D] to the nearest taught slot; -inf if none."""
        self._refresh()
        if not self._occupancy.pinned:
            return query.new_full((len(query),), -torch.inf)
        return self._search.search_lessons(self._unit(query), 1)[0].squeeze(1)

    def taught(self, slots: Tensor) -> Tensor | None:
        """Return which slots [...] (-1 for none) were taught; None if none was."""
        self._refresh()
        if not self._occupancy.pinned:
            return None
        return self.pinned[slots.clamp(min=0)] & (slots != NOTHING)

    def loss(self, query: Tensor, target: Tensor, hits: MemoryHits | None = None) -> Tensor:
        """Compute the margin loss (section 2): max(0, d_neg - d_pos + alpha).

        d_pos is the similarity of the best of the k neighbours that has the target, or otherwise of
        the slot that last had it. d_neg is the similarity of the best neighbour that has another
        value. A missing positive counts as d_pos = 0; without a negative, the loss is 0.

        Args:
            query: [N, D].
            target: [N] int64, the values to be found.
            hits: answers of :meth:`query` since the last commit; None to search.

        Returns:
            The loss [N] float32, with gradients to ``query`` only.

        Raises:
            ValueError: if a query is not finite, a target is outside [0, num_values), or the hits
                do not have N rows.
        """
        self._check_target(query, target)
        unit = self._unit(query)
        slots = self._nearest(unit, self.neighbors, hits)[:, : self.neighbors]
        recent = self.recent[target].unsqueeze(1)  # [N, 1]
        pool = torch.cat([slots, recent], dim=1)  # [N, k + 1], best first
        values = _at(self.values, pool)
        right = values == target.unsqueeze(1)
        wrong = (values != NOTHING) & ~right
        d_pos = self._similarity(unit, _first(pool, right), missing=0.0)
        d_neg = self._similarity(unit, _first(pool, wrong), missing=-torch.inf)
        return F.relu(d_neg - d_pos + self.margin)

    # --- Writing ----------------------------------------------------------------------------------

    def write(
        self,
        query: Tensor,
        target: Tensor,
        origin: int | Tensor | None = None,
        hits: MemoryHits | None = None,
    ) -> CommitReport:
        """Remember pairs at once, in training or not: :meth:`stage` and :meth:`commit`."""
        self.stage(query, target, hits, force=True, origin=origin)
        return self.commit()

    def stage(
        self,
        query: Tensor,
        target: Tensor,
        hits: MemoryHits | None = None,
        *,
        force: bool = False,
        chosen: Tensor | None = None,
        origin: int | Tensor | None = None,
    ) -> None:
        """Stage pairs for the next commit. Nothing happens in evaluation mode, unless forced.

        Args:
            query: [N, D]; it is detached here.
            target: [N] int64.
            hits: answers of :meth:`query` since the last commit; None to search.
            force: stage in evaluation mode as well.
            chosen: [N] bool, the pairs to stage; None for all.
            origin: who writes, one number or [N] int64; None if unknown.

        Raises:
            ValueError: if a query is not finite, a target is outside [0, num_values), or the hits
                do not have N rows.
        """
        if not (self.training or force):
            return
        self._check_target(query, target)
        unit = self._unit(query.detach())
        origins = self._origins_of(target, origin)
        slots = self._nearest(unit, 1, hits)  # only the best slot matters
        best = self._nearest_unpinned(unit, slots)
        merge_slot = best.masked_fill(_at(self.values, best) != target, NOTHING)
        self._staged.add(StagedPairs(unit, target, origins, merge_slot), chosen)

    @torch.no_grad()
    def commit(self) -> CommitReport:
        """Write all staged pairs of all ranks in one update (section 2, "memory update").

        With ``torch.distributed`` this is a collective operation: every rank must call it, even one
        that staged nothing. The result is the same on all ranks.

        Returns:
            A summary of the commit.
        """
        self._refresh()
        query, target, origin, merge_slot = gather_rows(*self._staged.take(self.keys))
        # A slot that was forgotten since then is nothing to merge into.
        stays = (_at(self.values, merge_slot) == target) & ~_at(self.pinned, merge_slot)
        merge_slot = merge_slot.masked_fill(~stays, NOTHING)
        missed = merge_slot == NOTHING
        hit_slots = merge_slot[~missed]
        # If there are more misses than slots, the last ones are kept.
        miss_rows = torch.nonzero(missed).squeeze(1)
        miss_rows = miss_rows[max(0, len(miss_rows) - self.size + self._occupancy.pinned) :]
        slots = self._slots_to_write(len(miss_rows))
        evicted = int((self.values[slots] != NOTHING).sum())

        self.commits += 1
        changed = torch.unique(torch.cat([hit_slots, slots]))  # a slot can be in both
        self._touch(changed)
        self._merge_keys(hit_slots, query[~missed])
        self._write_keys(slots, query[miss_rows])
        self.values[slots] = target[miss_rows]
        self.merges.index_add_(0, hit_slots, torch.ones_like(hit_slots))
        self.merges[slots] = 0
        written = merge_slot.index_copy(0, miss_rows, slots)  # -1 for misses without a slot
        self._note(written, target, origin)
        self.origins[slots] = origin[miss_rows]  # also where a slot was merged into before
        self._refresh(changed)
        return CommitReport(len(target), int((~missed).sum()), evicted, written)

    def discard(self) -> None:
        """Discard the staged pairs, so that the next commit of this rank adds nothing."""
        self._staged.clear()

    def clear(self) -> None:
        """Forget everything, including staged pairs."""
        self.discard()
        super().clear()

    # --- Implementation ---------------------------------------------------------------------------

    def _nearest(self, unit: Tensor, count: int, hits: MemoryHits | None) -> Tensor:
        """Return slots [N, m] of the nearest neighbours; m is at least ``count`` after a search."""
        if hits is None:
            self._refresh()
            return self._search.search(unit, count)[1][:, :count]
        if len(hits.slots) != len(unit):
            raise ValueError(
                f"hits for {len(hits.slots)} queries were passed for {len(unit)} queries"
            )
        return hits.slots

    def _nearest_unpinned(self, unit: Tensor, slots: Tensor) -> Tensor:
        """Return the nearest slot [N] that is not pinned, -1 if there is none.

        Args:
            unit: [N, D].
            slots: [N, m], the nearest slots.
        """
        self._refresh()
        if not self._occupancy.pinned:
            return slots[:, 0]
        nearest = _first(slots, (slots != NOTHING) & ~_at(self.pinned, slots))
        # If all m are pinned, search for others behind them.
        unsure = torch.nonzero((nearest == NOTHING) & (slots[:, -1] != NOTHING)).squeeze(1)
        if len(unsure):
            nearest[unsure] = self._search.search_others(unit[unsure], 1)[1].squeeze(1)
        return nearest

    def _merge_keys(self, slots: Tensor, query: Tensor) -> None:
        """K <- normalise(K + sum of its queries), for slots [N] and queries [N, D]."""
        unique, inverse = torch.unique(slots, return_inverse=True)
        keys = self.keys[unique]  # [U, D]
        if keys.is_cuda:  # index_put is deterministic on CUDA, index_add is not
            keys.index_put_((inverse,), query, accumulate=True)
        else:
            keys.index_add_(0, inverse, query)
        self.keys[unique] = F.normalize(keys, dim=1)

    def _note(self, slots: Tensor, target: Tensor, origin: Tensor) -> None:
        """Record the slot in which each value was last written, and who wrote each slot.

        If several rows of a batch have the same value or slot, the last one counts.

        Args:
            slots: [N], the slot of each pair; -1 for none.
            target: [N].
            origin: [N].
        """
        rows = torch.nonzero(slots != NOTHING).squeeze(1)
        slots, target, origin = slots[rows], target[rows], origin[rows]
        value, last = _last_rows(target)
        self.recent[value] = slots[last]
        slot, last = _last_rows(slots)
        self.origins[slot] = origin[last]

    def _similarity(self, unit: Tensor, slots: Tensor, missing: float) -> Tensor:
        """Compute q . K[slot] for one slot per query [N], ``missing`` where the slot is -1."""
        keys = self._keys_of(slots.clamp(min=0))  # [N, D], a copy
        return (unit * keys).sum(1).masked_fill(slots == NOTHING, missing)


def memories_in(model: nn.Module) -> list[KeyValueMemory]:
    """Return all memories of a model; most have one or none."""
    return [module for module in model.modules() if isinstance(module, KeyValueMemory)]


def _at(values: Tensor, slots: Tensor) -> Tensor:
    """Return values[slots]; -1, or True for a bool, where the slot is -1."""
    return values[slots.clamp(min=0)].masked_fill(slots == NOTHING, NOTHING)


def _first(slots: Tensor, wanted: Tensor) -> Tensor:
    """Return the first wanted slot of each row: [N, k], [N, k] bool -> [N]; -1 if none."""
    position = wanted.float().argmax(dim=1, keepdim=True)
    return slots.gather(1, position).squeeze(1).masked_fill(~wanted.any(dim=1), NOTHING)


def _last_rows(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distinct numbers of [N] and the last row of each: [U], [U]."""
    distinct, inverse = torch.unique(numbers, return_inverse=True)
    rows = torch.arange(len(numbers), device=numbers.device)
    last = torch.zeros_like(distinct)
    return distinct, last.scatter_reduce_(0, inverse, rows, reduce="amax")
