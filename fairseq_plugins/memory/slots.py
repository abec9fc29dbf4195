"""The slots of a memory: their buffers, which are empty, and teaching."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_plugins.memory import state
from fairseq_plugins.memory.config import MemoryConfig
from fairseq_plugins.memory.eviction import AgeOrder, noise
from fairseq_plugins.memory.hits import NOTHING
from fairseq_plugins.memory.occupancy import Occupancy
from fairseq_plugins.memory.search.apart import SearchApart

# A full memory that is taught grows by this share of its size, so that it is seldom copied.
_GROWTH = 8
_SHORTEST = 1e-12  # length of a query, so that one of zeros has a key of zeros
# Notes of ages per slot. Above this, they are dropped and made again when a slot must be forgotten.
_NOTES = 2


class MemorySlots(nn.Module):
    """The buffers of a memory, and what depends on them: the search, counts and ages.

    Code that changes the buffers from outside need not report it. The cost of a change made here
    depends on what changes, not on the size of the memory.

    Args:
        config: sizes, search and seed.

    Raises:
        ValueError: if the search is unknown or unusable.
    """

    keys: Tensor
    values: Tensor
    touched: Tensor
    origins: Tensor
    merges: Tensor
    pinned: Tensor
    recent: Tensor
    commits: Tensor
    layout: Tensor

    def __init__(self, config: MemoryConfig) -> None:
        super().__init__()
        self.age_noise, self.seed, self.storage = config.age_noise, config.seed, config.storage
        buffers = state.empty_memory(config.size, 0, config.num_values)
        buffers["keys"] = self._empty_keys(config.size, config.key_dim)
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer)
        self._search = SearchApart(config)
        self._occupancy = Occupancy(config.size)
        self._age_order: AgeOrder | None = None  # until a slot must be forgotten
        self._seen: tuple[Any, ...] = ()  # the state of the buffers when these were last updated

    def __len__(self) -> int:
        """Return the number of filled slots."""
        self._refresh()
        return self._occupancy.filled

    def __bool__(self) -> bool:
        """Return True: a memory is a module, and true even if it is empty."""
        return True

    def __getstate__(self) -> dict:
        """Leave state of the running process out of copies and pickles."""
        return self.__dict__ | {"_seen": (), "_age_order": None}

    @property
    def size(self) -> int:
        """S, the number of slots."""
        return len(self.values)

    @property
    def key_dim(self) -> int:
        """D, the width of keys and queries."""
        return self.keys.shape[1]

    @property
    def num_values(self) -> int:
        """Upper limit of values, exclusive."""
        return len(self.recent)

    @property
    def ages(self) -> Tensor:
        """Commits since each slot was last written [S] int64, a copy; assign to change them."""
        return self.commits - self.touched

    @ages.setter
    def ages(self, ages: Tensor) -> None:
        self.touched.copy_(self.commits - ages)

    @property
    def mean_age(self) -> float:
        """Mean age of filled slots, in commits; 0 if there are none."""
        filled = len(self)
        return int(self.commits) - self._occupancy.touched / filled if filled else 0.0

    # --- Teaching ---------------------------------------------------------------------------------

    @torch.no_grad()
    def teach(self, query: Tensor, target: Tensor, origin: int | Tensor) -> Tensor:
        """Remember each pair in an empty slot of its own, until it is forgotten explicitly.

        No other slot changes: nothing is merged or evicted, and if no slot is empty, the memory
        grows. The life-long rule of :meth:`commit` ignores taught slots: it writes and evicts as if
        they did not exist. They answer queries like all others, but ``recent`` does not include
        them. So ``forget(teach(...))`` restores all buffers, except that a memory that grew keeps
        its empty slots. With several ranks, all of them must teach the same pairs.

        Args:
            query: [N, D].
            target: [N] int64.
            origin: who teaches, one number or [N] int64; -1 if unknown.

        Returns:
            The slots [N] int64.

        Raises:
            ValueError: if a query is not finite or a target is outside [0, num_values).
        """
        self._check_target(query, target)
        unit = self._unit(query)
        origins = self._origins_of(target, origin)
        self._refresh()
        lacking = len(query) - self._occupancy.empty
        if lacking > 0:
            self.grow(self.size + max(lacking, self.size // _GROWTH))
        slots = self._take_empty(len(query))
        self._touch(slots)
        self._write_keys(slots, unit)
        self.values[slots] = target
        self.origins[slots] = origins
        self.pinned[slots] = True
        self._occupancy.pinned += len(slots)
        self._refresh(changed=slots)
        return slots

    @torch.no_grad()
    def forget(self, slots: Tensor) -> None:
        """Empty slots, whoever filled them. Empty slots stay empty.

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
        self._occupancy.touched -= int(self.touched[slots].sum())
        self._occupancy.give_back(slots.tolist())
        empty = state.empty_slots(len(slots), self.key_dim, self.keys.device)
        self._write_keys(slots, empty.pop("keys"))
        for name, rows in empty.items():
            self.get_buffer(name)[slots] = rows
        self.recent[torch.isin(self.recent, slots)] = NOTHING
        self._refresh(changed=slots)

    @torch.no_grad()
    @torch.inference_mode(False)  # buffers must outlive a caller's inference mode
    def grow(self, size: int) -> None:
        """Add empty slots; the contents keep their slots.

        Args:
            size: new number of slots.

        Raises:
            ValueError: if there are already more.
        """
        if size < self.size:
            raise ValueError(f"a memory of {self.size} slots cannot grow to {size}")
        self._refresh()
        more = state.empty_slots(size - self.size, 0, self.keys.device)
        more["keys"] = self._empty_keys(size, self.key_dim)[len(self.keys) :].to(self.keys.device)
        for name, rows in more.items():
            setattr(self, name, torch.cat([self.get_buffer(name), rows]))
        self._occupancy.size = size
        self._refresh(changed=torch.empty(0, dtype=torch.int64, device=self.keys.device))

    def clear(self) -> None:
        """Forget everything."""
        for name, empty in state.EMPTY.items():
            self.get_buffer(name).fill_(empty)
        self.recent.fill_(NOTHING)
        self.commits.zero_()

    # --- The index of the search -----------------------------------------------------------------

    def read_index(self, path: Path) -> None:
        """Take the index of the search from a file when it is first needed.

        If the file is missing, damaged, or of another memory, the index is made instead.
        """
        self._search.read_index(path)

    @torch.no_grad()
    def write_index(self, path: Path) -> None:
        """Write the index of the search to a file, completely or not at all.

        Nothing is written for a search without an index, or with one that is made quickly.

        Raises:
            OSError: if it cannot be written.
        """
        self._refresh()
        self._search.write_index(path)

    # --- The keys, which other kinds of memories keep elsewhere -----------------------------------

    def _empty_keys(self, size: int, key_dim: int) -> Tensor:
        """Create the keys of ``size`` empty slots, as far as they are here: [size, D]."""
        # Zeros of numpy take no main memory before something is written.
        return torch.from_numpy(np.zeros((size, key_dim), dtype=np.float32))

    def _keys_of(self, slots: Tensor) -> Tensor:
        """Return copies of the keys of slots [N]: [N, D]."""
        return self.keys[slots]

    @staticmethod
    def _sum_keys(keys: Tensor, slots: Tensor, weights: Tensor) -> Tensor:
        """Return sums of the keys of slots [N, k], times their weights [N, k]: [N, D]."""
        return F.embedding_bag(slots, keys, per_sample_weights=weights, mode="sum")

    def _write_keys(self, slots: Tensor, keys: Tensor) -> None:
        """Replace the keys of distinct slots [N] by others [N, D]."""
        self.keys[slots] = keys

    # --- For the life-long rule -------------------------------------------------------------------

    def _take_empty(self, count: int) -> Tensor:
        """Return the lowest empty slots, ``count`` or all there are; the caller fills them."""
        slots = torch.tensor(self._occupancy.take(count), dtype=torch.int64)
        return slots.to(self.values.device)

    def _slots_to_write(self, count: int) -> Tensor:
        """Return slots [count] for new pairs: empty ones, lowest first, then the oldest."""
        empty = self._take_empty(count)
        needed = count - len(empty)
        return torch.cat([empty, self._oldest(needed)]) if needed else empty

    def _oldest(self, count: int) -> Tensor:
        """Return the unpinned slots [count] of greatest age + noise, ties to the lower slot."""
        if self._age_order is None:
            self._age_order = AgeOrder(self.touched, self._evictable(slice(None)))
        reach = 2 * self.age_noise
        slots = self._age_order.oldest(count, reach, self.touched, self._evictable)
        jitter = 2 * noise(slots, self.seed, int(self.commits)) - 1
        age = self.commits - self.touched[slots] + self.age_noise * jitter
        chosen = age >= age.topk(count).values[-1]  # more than ``count`` if there are ties
        slots, order = slots[chosen].sort()
        order = torch.sort(age[chosen][order], descending=True, stable=True).indices
        return slots[order[:count]]

    def _evictable(self, slots: Tensor | slice) -> Tensor:
        """Return which of some slots hold something that may be forgotten: bool."""
        return (self.values[slots] != NOTHING) & ~self.pinned[slots]

    def _touch(self, slots: Tensor) -> None:
        """Give distinct slots the lowest age; call this before they are filled."""
        filled = self.values[slots] != NOTHING
        was = int((self.touched[slots] * filled).sum())
        self._occupancy.touched += int(self.commits) * len(slots) - was
        self.touched[slots] = self.commits
        if self._age_order is not None:
            self._age_order.touch(slots, self.commits)
            if self._age_order.length > _NOTES * self.size + len(slots):
                self._age_order = None

    def _refresh(self, changed: Tensor | None = None) -> None:
        """Update search, counts and ages to the buffers, even if other code wrote to them.

        Args:
            changed: slots that this memory changed itself, which counts and ages already include.
        """
        watched = self.keys, self.values, self.touched, self.pinned
        seen = tuple((buffer, _version(buffer)) for buffer in watched)
        if changed is None:
            if len(self._seen) == len(seen) and all(
                a is b and version == known
                for (a, version), (b, known) in zip(seen, self._seen, strict=True)
            ):
                return
            self._occupancy = Occupancy.of(self.values, self.pinned, self.touched)
            self._age_order = None
        taught = self._occupancy.pinned > 0
        self._search.update(self.keys, self.values, self.pinned, taught, changed)
        self._seen = seen

    # --- Input ------------------------------------------------------------------------------------

    def _unit(self, query: Tensor) -> Tensor:
        """Return unit vectors in float32 [N, D]; ValueError if the queries are invalid."""
        if query.dim() != 2 or query.shape[1] != self.key_dim:
            raise ValueError(f"queries must be [N, {self.key_dim}], not {list(query.shape)}")
        with torch.autocast(query.device.type, enabled=False):
            query = query.float().contiguous()
            length = query.norm(dim=1, keepdim=True)  # [N, 1]
            if not math.isfinite(length.detach().sum()):
                raise ValueError(
                    "a query contains a number that is not finite or is too large to square"
                )
            return query / length.clamp(min=_SHORTEST)

    def _check_target(self, query: Tensor, target: Tensor) -> None:
        if target.shape != query.shape[:1] or target.dtype != torch.int64:
            raise ValueError(
                f"targets must be [{len(query)}] int64, not {list(target.shape)} {target.dtype}"
            )
        if len(target) and not bool(((target >= 0) & (target < self.num_values)).all()):
            raise ValueError(f"a target is outside [0, {self.num_values})")

    @staticmethod
    def _origins_of(target: Tensor, origin: int | Tensor | None) -> Tensor:
        """Return origins [N] int64."""
        if isinstance(origin, Tensor):
            if origin.shape != target.shape or origin.dtype != torch.int64:
                raise ValueError(
                    f"origins must be one number or [{len(target)}] int64, not "
                    f"{list(origin.shape)} {origin.dtype}"
                )
            return origin
        return torch.full_like(target, NOTHING if origin is None else origin)

    def _apply(self, fn: Any, recurse: bool = True) -> "MemorySlots":
        """Move with the model, but keep the keys in float32 when the model becomes half."""
        keys = self.keys
        super()._apply(fn, recurse)
        if self.keys.dtype != torch.float32:
            self.keys = keys.to(self.keys.device, torch.float32)
        return self

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        """Load buffers with any version of the layout."""
        state.upgrade(state_dict, prefix)
        keys = state_dict.get(prefix + "keys")
        if self.storage == "mmap" and keys is not None and keys.shape == self.keys.shape:
            self.keys = keys  # not copied
        super()._load_from_state_dict(state_dict, prefix, *args)


def _version(tensor: Tensor) -> Any:
    """Return a number that changes when the tensor does; in inference mode, always a new one."""
    return object() if tensor.is_inference() else tensor._version
