"""The life-long key-value memory of "Learning to Remember Rare Events".

Kaiser, Nachum, Roy, Bengio (ICLR 2017), section 2. A memory of S slots is three arrays: keys K
(unit vectors), values V (integers) and ages A. A query q is answered by its k nearest keys; a
margin loss teaches the network that makes the queries to ask near the right value; and every
query, once its right value is known, is either merged into the key that answered rightly or
written to a new slot. Nothing is learned in the memory itself: it has no parameters, so one
sight of a pair is enough to remember it.
"""

import math
import weakref
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_plugins.memory import state
from fairseq_plugins.memory.collective import gather_rows
from fairseq_plugins.memory.config import MemoryConfig
from fairseq_plugins.memory.hits import NOTHING, CommitReport, MemoryHits, Similarities
from fairseq_plugins.memory.occupancy import Occupancy
from fairseq_plugins.memory.search.exact import BACKENDS, NearestNeighbors

# Far apart, so that two seeds do not draw the same noise a few commits later.
_SEED_STRIDE = 0x9E3779B97F4A7C15
# A full memory that is taught grows by this part of its size, so that it is seldom copied.
_GROWTH = 8


@dataclass(frozen=True)
class _Staged:
    """Pairs that wait for a commit: unit queries, their values, and the slots to merge into."""

    query: Tensor  # [N, D]
    target: Tensor  # [N]
    origin: Tensor  # [N]
    merge_slot: Tensor  # [N], the best slot if it holds the target, else -1


class KeyValueMemory(nn.Module):
    """A memory that is queried by similarity and written life-long.

    Args:
        size: S, slots.
        key_dim: D, width of keys and queries.
        num_values: values are integers in [0, num_values).
        neighbors: k, slots that answer a query.
        margin: alpha of the margin loss.
        age_noise: amplitude of the uniform noise on the ages when a slot has to be forgotten.
        search: nearest-neighbour backend, a name in ``search.BACKENDS``.
        search_dtype: type of the coarse product, see :class:`~.search.ExactSearch`.
        search_budget_mb: MiB of similarities held at once.
        seed: of the noise on the ages.

    Example::

        memory = KeyValueMemory(size=1000, key_dim=2, num_values=10)
        memory.write(torch.tensor([[3.0, 4.0]]), torch.tensor([7]))
        memory.query(torch.tensor([[0.6, 0.8]])).values[0, 0]  # 7

    Raises:
        ValueError: if a size is not positive or the backend is unknown.
    """

    keys: Tensor
    values: Tensor
    touched: Tensor
    origins: Tensor
    pinned: Tensor
    recent: Tensor
    commits: Tensor
    layout: Tensor

    def __init__(
        self,
        size: int,
        key_dim: int,
        num_values: int,
        neighbors: int = 256,
        margin: float = 0.1,
        age_noise: float = 8.0,
        search: str = "exact",
        search_dtype: str = "auto",
        search_budget_mb: int = 64,
        seed: int = 1,
    ) -> None:
        super().__init__()
        MemoryConfig(size, key_dim, num_values, neighbors, margin, age_noise).check()
        if search not in BACKENDS:
            raise ValueError(f"memory search {search!r} is not one of {', '.join(BACKENDS)}")
        self.neighbors, self.margin, self.age_noise = neighbors, margin, age_noise
        self.seed = seed
        self.temperature = max(1.0, math.log(0.2 * neighbors) / margin)  # t of the contract
        for name, buffer in state.empty_memory(size, key_dim, num_values).items():
            self.register_buffer(name, buffer)
        self._search: NearestNeighbors = BACKENDS[search](search_dtype, search_budget_mb)
        self._occupancy = Occupancy(self.values, self.pinned)
        self._seen: tuple[Any, ...] = ()  # the state of the buffers that both know
        self._last: tuple[Any, ...] = ()  # the last query and its neighbours
        self._staged: list[_Staged] = []

    @classmethod
    def from_config(cls, config: MemoryConfig) -> "KeyValueMemory":
        """Make an empty memory from its settings."""
        return cls(**vars(config))

    @property
    def size(self) -> int:
        """S, slots."""
        return self.keys.shape[0]

    @property
    def key_dim(self) -> int:
        """D, width of keys and queries."""
        return self.keys.shape[1]

    @property
    def num_values(self) -> int:
        """Values are integers below it."""
        return len(self.recent)

    @property
    def ages(self) -> Tensor:
        """Commits since each slot was written last [S] int64, a copy; set it to change them."""
        return self.commits - self.touched

    @ages.setter
    def ages(self, ages: Tensor) -> None:
        self.touched.copy_(self.commits - ages)

    def __len__(self) -> int:
        """Filled slots."""
        self._refresh()
        return self._occupancy.filled

    def __bool__(self) -> bool:
        """A memory is a module, and true also when it is empty."""
        return True

    def __getstate__(self) -> dict:
        """Copies and pickles leave behind what belongs to the running process."""
        return self.__dict__ | {"_last": (), "_seen": ()}

    def extra_repr(self) -> str:
        """Shown by ``print(model)``."""
        return (
            f"size={self.size}, key_dim={self.key_dim}, num_values={self.num_values}, "
            f"neighbors={self.neighbors}, margin={self.margin}, filled={len(self)}"
        )

    # --- Reading ------------------------------------------------------------------------------

    def query(self, query: Tensor, neighbors: int | None = None) -> MemoryHits:
        """Find the k nearest neighbours of each query (section 2).

        Args:
            query: [N, D], any float type; normalised here.
            neighbors: k; None means the memory's own.

        Returns:
            The neighbours. Their similarities carry gradients to ``query``, keys carry none.

        Raises:
            ValueError: if the shape is wrong or a number is not finite.
        """
        count = self.neighbors if neighbors is None else neighbors
        unit, similarities, slots = self._neighbors_of(query, count)
        if unit.requires_grad and torch.is_grad_enabled():
            similarities = Similarities.apply(unit, similarities, slots, self.keys)
        values = self._at(self.values, slots)
        if not len(self):
            weights = torch.zeros_like(similarities)
        else:
            weights = torch.softmax(self.temperature * similarities, dim=1)
        return MemoryHits(values, similarities, slots, weights)

    def loss(self, query: Tensor, target: Tensor) -> Tensor:
        """Margin loss (section 2): max(0, d_neg - d_pos + alpha).

        d_pos is the similarity of the best of the k neighbours that holds the target, or else
        of the slot that last held it; d_neg that of the best one that holds something else.
        A missing positive counts as d_pos = 0; where there is no negative, the loss is 0.

        Args:
            query: [N, D].
            target: [N] int64, the values that should be found.

        Returns:
            [N] float32, with gradients to ``query`` only.

        Raises:
            ValueError: if a query is not finite or a target is outside [0, num_values).
        """
        self._check_target(query, target)
        unit, _, slots = self._neighbors_of(query, self.neighbors)
        recent = self.recent[target].unsqueeze(1)  # [N, 1]
        pool = torch.cat([slots, recent], dim=1)  # [N, k + 1], best first
        values = self._at(self.values, pool)
        right = values == target.unsqueeze(1)
        wrong = (values != NOTHING) & ~right
        d_pos = self._similarity(unit, _first(pool, right), missing=0.0)
        d_neg = self._similarity(unit, _first(pool, wrong), missing=-torch.inf)
        return F.relu(d_neg - d_pos + self.margin)

    def recall(self, query: Tensor, hits: MemoryHits) -> None:
        """Note what was answered to queries that were asked in parts, one after the other.

        Learning and staging then need not search again, as long as the memory does not change.

        Args:
            query: [N, D], all of them.
            hits: their answers.
        """
        self._refresh()
        if self._last:  # else the memory has changed since the last part was asked
            found = hits.similarities.detach(), hits.slots
            self._last = weakref.ref(query), _version(query), found

    # --- Writing ------------------------------------------------------------------------------

    def write(
        self, query: Tensor, target: Tensor, origin: int | Tensor | None = None
    ) -> CommitReport:
        """Remember pairs now, whether training or not: :meth:`stage` and :meth:`commit`."""
        self.stage(query, target, force=True, origin=origin)
        return self.commit()

    def stage(
        self,
        query: Tensor,
        target: Tensor,
        force: bool = False,
        chosen: Tensor | None = None,
        origin: int | Tensor | None = None,
    ) -> None:
        """Note pairs for the next commit. Nothing happens in eval mode, unless forced.

        Args:
            query: [N, D]; detached here.
            target: [N] int64.
            force: stage in eval mode too.
            chosen: [N] bool, which pairs to note; None means all.
            origin: who writes, one number or [N] int64; None means unknown.

        Raises:
            ValueError: if a query is not finite or a target is outside [0, num_values).
        """
        if not (self.training or force):
            return
        self._check_target(query, target)
        unit, _, slots = self._neighbors_of(query, 1)  # who is the best is all that matters
        unit = unit.detach()
        best = self._nearest_unpinned(unit, slots)
        right = self._at(self.values, best) == target
        merge_slot = best.masked_fill(~right, NOTHING)
        rows = slice(None) if chosen is None else chosen
        pairs = (unit, target, self._origins_of(target, origin), merge_slot)
        self._staged.append(_Staged(*(part[rows].clone() for part in pairs)))

    @torch.no_grad()
    def commit(self) -> CommitReport:
        """Write all staged pairs of all ranks, as one update (section 2, "memory update").

        With ``torch.distributed`` initialised this is a collective: every rank must call it,
        also one that staged nothing. The result is the same on all of them.

        Returns:
            What was done.
        """
        self._refresh()
        query, target, origin, merge_slot = gather_rows(*self._take_staged())
        # A slot that was forgotten since then is nothing to merge into.
        stays = (self._at(self.values, merge_slot) == target) & ~self._at(self.pinned, merge_slot)
        merge_slot = merge_slot.masked_fill(~stays, NOTHING)
        missed = merge_slot == NOTHING
        merged, merged_keys = self._merge(query[~missed], merge_slot[~missed])
        # More misses than slots: the last ones stay.
        miss_rows = torch.nonzero(missed).squeeze(1)
        miss_rows = miss_rows[max(0, len(miss_rows) - self.size + self._occupancy.pinned) :]
        slots = self._slots_to_write(len(miss_rows))
        evicted = int((self.values[slots] != NOTHING).sum())

        self.commits += 1
        self.keys[merged] = merged_keys
        self.keys[slots] = query[miss_rows]
        self.values[slots] = target[miss_rows]
        written = merge_slot.index_copy(0, miss_rows, slots)  # -1 for misses that had no slot
        self._note(written, target, origin)
        self._refresh(changed=torch.cat([merged, slots]))
        return CommitReport(len(target), int((~missed).sum()), evicted, written)

    # --- Teaching -----------------------------------------------------------------------------

    @torch.no_grad()
    def teach(self, query: Tensor, target: Tensor, origin: int | Tensor) -> Tensor:
        """Remember each pair in an empty slot of its own, until it is forgotten on purpose.

        No other slot changes: nothing is merged, nothing is evicted, and where no slot is empty
        the memory grows. The life-long rule of :meth:`commit` does not see taught slots: it writes
        and forgets as if they were not there. They answer questions like all others, but
        ``recent`` does not know them. So ``forget(teach(...))`` leaves all buffers as they were,
        except for empty slots of a memory that grew. With several ranks, all must teach the same.

        Args:
            query: [N, D].
            target: [N] int64.
            origin: who teaches, one number or [N] int64; -1 means unknown.

        Returns:
            The slots [N] int64.

        Raises:
            ValueError: if a query is not finite or a target is outside [0, num_values).
        """
        self._check_target(query, target)
        self._check_query(query)
        origins = self._origins_of(target, origin)
        self._refresh()
        lacking = len(query) - self._occupancy.empty
        if lacking > 0:
            self.grow(self.size + max(lacking, self.size // _GROWTH))
        slots = torch.tensor(self._occupancy.take(len(query)), dtype=torch.int64)
        slots = slots.to(self.keys.device)
        self.keys[slots] = self._unit(query)
        self.values[slots] = target
        self.touched[slots] = self.commits
        self.origins[slots] = origins
        self.pinned[slots] = True
        self._occupancy.pinned += len(slots)
        self._refresh(changed=slots)
        return slots

    @torch.no_grad()
    def forget(self, slots: Tensor) -> None:
        """Empty slots, whoever filled them; those that are empty stay so.

        Args:
            slots: [N] int64.

        Raises:
            ValueError: if a slot is outside [0, size).
        """
        if slots.dim() != 1 or slots.dtype != torch.int64:
            raise ValueError(f"slots must be [N] int64, not {list(slots.shape)} {slots.dtype}")
        if len(slots) and not bool(((slots >= 0) & (slots < self.size)).all()):
            raise ValueError(f"a slot is outside [0, {self.size})")
        self._refresh()
        slots = torch.unique(slots.to(self.values.device))
        slots = slots[self.values[slots] != NOTHING]
        self._occupancy.pinned -= int(self.pinned[slots].sum())
        self._occupancy.give_back(slots.tolist())
        for name, empty in state.EMPTY.items():
            self.get_buffer(name)[slots] = empty
        self.recent[torch.isin(self.recent, slots)] = NOTHING
        self._refresh(changed=slots)

    @torch.no_grad()
    @torch.inference_mode(False)  # buffers must outlive a caller's inference mode
    def grow(self, size: int) -> None:
        """Add empty slots; what is held stays where it is.

        Args:
            size: slots there are to be.

        Raises:
            ValueError: if there are more already.
        """
        if size < self.size:
            raise ValueError(f"a memory of {self.size} slots cannot grow to {size}")
        more = state.empty_slots(size - self.size, self.key_dim, self.keys.device)
        for name, rows in more.items():
            setattr(self, name, torch.cat([self.get_buffer(name), rows]))
        self._refresh()

    def discard(self) -> None:
        """Drop the staged pairs: the next commit of this rank adds nothing."""
        self._staged.clear()

    def clear(self) -> None:
        """Forget everything, staged pairs included."""
        self.discard()
        for name, empty in state.EMPTY.items():
            self.get_buffer(name).fill_(empty)
        self.recent.fill_(NOTHING)
        self.commits.zero_()

    # --- How it is done -----------------------------------------------------------------------

    def _take_staged(self) -> tuple[Tensor, ...]:
        """All staged pairs in one: queries [N, D]; targets, origins, slots to merge into [N]."""
        staged, self._staged = self._staged, []
        if not staged:
            none = self.values.new_empty(0)
            return self.keys.new_empty(0, self.key_dim), none, none, none
        names = [field.name for field in fields(_Staged)]
        return tuple(torch.cat([getattr(pairs, name) for pairs in staged]) for name in names)

    def _nearest_unpinned(self, unit: Tensor, slots: Tensor) -> Tensor:
        """The nearest slot [N] that is not pinned, -1 if there is none.

        Args:
            unit: [N, D].
            slots: [N, m], the nearest of all.
        """
        nearest = _first(slots, (slots != NOTHING) & ~self._at(self.pinned, slots))
        # Where all m are pinned, there may be others behind them.
        unsure = torch.nonzero((nearest == NOTHING) & (slots[:, -1] != NOTHING)).squeeze(1)
        if len(unsure):
            _, more = self._search_nearest(unit[unsure], 4 * slots.shape[1])
            nearest[unsure] = self._nearest_unpinned(unit[unsure], more)
        return nearest

    @staticmethod
    def _origins_of(target: Tensor, origin: int | Tensor | None) -> Tensor:
        """[N] int64."""
        if isinstance(origin, Tensor):
            if origin.shape != target.shape or origin.dtype != torch.int64:
                raise ValueError(
                    f"origins must be one number or [{len(target)}] int64, not "
                    f"{list(origin.shape)} {origin.dtype}"
                )
            return origin
        return torch.full_like(target, NOTHING if origin is None else origin)

    def _merge(self, query: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        """K <- normalise(K + sum of the queries that found it): the slots [U] and keys [U, D]."""
        unique, inverse = torch.unique(slots, return_inverse=True)
        keys = self.keys[unique]  # [U, D]
        if keys.is_cuda:  # the accumulating index_put is deterministic there, index_add is not
            keys.index_put_((inverse,), query, accumulate=True)
        else:
            keys.index_add_(0, inverse, query)
        return unique, F.normalize(keys, dim=1)

    def _slots_to_write(self, count: int) -> Tensor:
        """Slots [count] for new pairs: empty ones, lowest first, then the oldest."""
        taken = self._occupancy.take(count)
        empty = torch.tensor(taken, dtype=torch.int64).to(self.values.device)
        needed = count - len(empty)
        if needed == 0:
            return empty
        noise = torch.Generator(self.values.device)
        noise.manual_seed((self.seed * _SEED_STRIDE + int(self.commits)) % 2**63)
        jitter = torch.rand(self.size, generator=noise, device=self.values.device)
        age = self.ages + self.age_noise * (2 * jitter.double() - 1)
        age[empty] = -torch.inf
        age.masked_fill_(self.pinned, -torch.inf)
        least = age.topk(needed).values[-1]
        old = torch.nonzero(age >= least).squeeze(1)  # more than needed if there are ties
        order = torch.sort(age[old], descending=True, stable=True).indices
        return torch.cat([empty, old[order[:needed]]])

    def _note(self, slots: Tensor, target: Tensor, origin: Tensor) -> None:
        """Note where each value was written last, when and by whom each slot.

        Of several rows of a batch the last one counts.

        Args:
            slots: [N], where each pair went; -1 if nowhere.
            target: [N].
            origin: [N].
        """
        rows = torch.nonzero(slots != NOTHING).squeeze(1)
        slots, target, origin = slots[rows], target[rows], origin[rows]
        self.touched[slots] = self.commits
        value, last = _last_rows(target)
        self.recent[value] = slots[last]
        slot, last = _last_rows(slots)
        self.origins[slot] = origin[last]

    def _neighbors_of(self, query: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Unit queries [N, D], and the similarities and slots [N, count] of their neighbours.

        Asking, learning and staging follow each other on the same queries, so the last answer
        is kept as long as neither the query nor the memory has changed.
        """
        self._refresh()
        version = _version(query)
        known = (
            self._last
            and self._last[0]() is query
            and self._last[1] == version
            and self._last[2][1].shape[1] >= count
        )
        if not known:
            self._check_query(query)
        unit = self._unit(query)  # not kept with the answer: each use has a graph of its own
        if not known:
            found = self._search_nearest(unit.detach(), count)
            self._last = weakref.ref(query), version, found
        similarities, slots = self._last[2]  # of more neighbours, perhaps
        return unit, similarities[:, :count], slots[:, :count]

    @staticmethod
    def _unit(query: Tensor) -> Tensor:
        """Unit vectors in float32 [N, D]."""
        with torch.autocast(query.device.type, enabled=False):
            return F.normalize(query.float().contiguous(), dim=1)

    def _search_nearest(self, unit: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Similarities and slots [N, count] of the nearest slots of unit queries [N, D]."""
        with torch.autocast(unit.device.type, enabled=False):
            return self._search.search(unit, count)

    def _refresh(self, changed: Tensor | None = None) -> None:
        """Tell the search what has changed, also if somebody else wrote to the buffers.

        Args:
            changed: slots that this memory changed itself, of which the occupancy knows.
        """
        watched = self.keys, self.values, self.pinned
        seen = tuple((buffer, _version(buffer)) for buffer in watched)
        if changed is None:
            if len(self._seen) == len(seen) and all(
                a is b and version == known
                for (a, version), (b, known) in zip(seen, self._seen, strict=True)
            ):
                return
            self._occupancy = Occupancy(self.values, self.pinned)
        self._search.update(self.keys, self.values, changed)
        self._seen, self._last = seen, ()

    def _similarity(self, unit: Tensor, slots: Tensor, missing: float) -> Tensor:
        """q . K[slot] for one slot a query [N], ``missing`` where the slot is -1."""
        keys = self.keys[slots.clamp(min=0)]  # [N, D], a copy
        return (unit * keys).sum(1).masked_fill(slots == NOTHING, missing)

    @staticmethod
    def _at(values: Tensor, slots: Tensor) -> Tensor:
        """values[slots]; -1, or True of a bool, where the slot is -1."""
        return values[slots.clamp(min=0)].masked_fill(slots == NOTHING, NOTHING)

    def _check_query(self, query: Tensor) -> None:
        if query.dim() != 2 or query.shape[1] != self.key_dim:
            raise ValueError(f"queries must be [N, {self.key_dim}], not {list(query.shape)}")
        if not math.isfinite(query.detach().float().norm(dim=1).sum()):
            raise ValueError("a query holds a number that is not finite, or too large to square")

    def _check_target(self, query: Tensor, target: Tensor) -> None:
        if target.shape != query.shape[:1] or target.dtype != torch.int64:
            raise ValueError(
                f"targets must be [{len(query)}] int64, not {list(target.shape)} {target.dtype}"
            )
        if len(target) and not bool(((target >= 0) & (target < self.num_values)).all()):
            raise ValueError(f"a target is outside [0, {self.num_values})")

    def _apply(self, fn: Any, recurse: bool = True) -> "KeyValueMemory":
        """Move with the model, but keep the keys in float32 when the model becomes half."""
        keys = self.keys
        super()._apply(fn, recurse)
        if self.keys.dtype != torch.float32:
            self.keys = keys.to(self.keys.device, torch.float32)
        return self

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        """Load buffers of any version of their layout."""
        state.upgrade(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)


def memories_in(model: nn.Module) -> list[KeyValueMemory]:
    """All memories of a model; most have one or none."""
    return [module for module in model.modules() if isinstance(module, KeyValueMemory)]


def _version(tensor: Tensor) -> Any:
    """Changes when the tensor does. One made in inference mode may always have changed."""
    return object() if tensor.is_inference() else tensor._version


def _first(slots: Tensor, wanted: Tensor) -> Tensor:
    """The first slot of each row where ``wanted``: [N, k], [N, k] bool -> [N], -1 if none."""
    position = wanted.float().argmax(dim=1, keepdim=True)
    return slots.gather(1, position).squeeze(1).masked_fill(~wanted.any(dim=1), NOTHING)


def _last_rows(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct ones of numbers [N], and the last row of each: [U], [U]."""
    distinct, inverse = torch.unique(numbers, return_inverse=True)
    rows = torch.arange(len(numbers), device=numbers.device)
    last = torch.zeros_like(distinct)
    return distinct, last.scatter_reduce_(0, inverse, rows, reduce="amax")
