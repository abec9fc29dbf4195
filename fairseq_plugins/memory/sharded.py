"""A memory whose keys are divided among processes: rank r of R holds those of slots r, r + R, ...

Keys, and the copies that a search makes of them, take nearly all space of a memory, and comparing
them nearly all time. So they are divided. All else, 33 bytes per slot, is the same on all ranks:
they merge, write and evict by the same rules, with the same result, as one process does with
:class:`KeyValueMemory`. Only what needs a key is done together, see :mod:`.meeting`.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_plugins.memory import state
from fairseq_plugins.memory.collective import exchange, gather
from fairseq_plugins.memory.config import MemoryConfig
from fairseq_plugins.memory.hits import CommitReport
from fairseq_plugins.memory.key_value_memory import KeyValueMemory, memories_in
from fairseq_plugins.memory.meeting import Lengths, Meeting, Task
from fairseq_plugins.memory.search.sharded import ShardedSearch

_AT_ONCE = 1 << 16  # keys that a rank sends at once


class ShardedMemory(KeyValueMemory):
    """A memory of several ranks; what it says and holds is the same on all of them.

    All ranks must write, teach, forget, grow, clear and load together, with the same arguments
    (those of ``write`` are of each rank alone). ``query`` and ``loss`` need not be called equally
    often, if every rank calls :func:`serve` once it has finished. ``keys`` are those of this rank,
    except within :func:`whole`.

    Args:
        size: S, the number of slots.
        key_dim: D, the width of keys and queries.
        num_values: values are integers in [0, num_values).
        more: settings of :class:`MemoryConfig` that follow these, in its order.
        settings: the same by name.

    Raises:
        ValueError: as in the base class, or if there are fewer slots than ranks.
    """

    def __init__(
        self, size: int, key_dim: int, num_values: int, *more: Any, **settings: Any
    ) -> None:
        config = MemoryConfig(size, key_dim, num_values, *more, **settings)
        self.meeting = Meeting()
        if size < self.meeting.ranks:
            raise ValueError(
                f"a memory of {size} slots is too small for {self.meeting.ranks} processes"
            )
        super().__init__(size, key_dim, num_values, *more, **settings)
        self._search = ShardedSearch(config, self.meeting)
        self.meeting.parts |= {
            Task.SUM: self._sum_together,
            Task.COMMIT: self._commit_together,
            Task.GATHER: self._gather_together,
            Task.SERVE: self._nothing,
        }

    def commit(self) -> CommitReport:
        """Write all staged pairs of all ranks in one update, as in the base class."""
        report: CommitReport = self._do(Task.COMMIT)
        return report

    def serve(self) -> None:
        """Answer the other ranks until all of them call this."""
        self._do(Task.SERVE)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Let ``keys`` of rank 0 be those of all ranks within this context, to save them.

        All other ranks must enter it as well, or serve.
        """
        shard = self.keys
        everything = self._do(Task.GATHER)
        try:
            if everything is not None:
                self.keys = everything
            yield
        finally:
            self.keys = shard

    def read_index(self, path: Path) -> None:
        """Do nothing: an index in a file is one of all keys."""

    def write_index(self, path: Path) -> None:
        """Do nothing: an index of a part of the keys is of no use to other programs."""

    # --- The keys ---------------------------------------------------------------------------------

    def _empty_keys(self, size: int, key_dim: int) -> Tensor:
        rows = len(range(size)[self.meeting.here])
        return torch.from_numpy(np.zeros((rows, key_dim), dtype=np.float32))

    def _keys_of(self, slots: Tensor) -> Tensor:
        one = torch.ones(len(slots), 1, device=slots.device)
        return self._sum_keys(self.keys, slots.unsqueeze(1), one)

    def _sum_keys(self, keys: Tensor, slots: Tensor, weights: Tensor) -> Tensor:  # type: ignore[override]
        width = slots.shape[1]
        sums: Tensor = self._do(Task.SUM, slots, weights, width=width)
        return sums

    def _write_keys(self, slots: Tensor, keys: Tensor) -> None:
        here = self.meeting.holds(slots)
        super()._write_keys(self.meeting.rows(slots[here]), keys[here])

    def _merge_keys(self, slots: Tensor, query: Tensor) -> None:
        here = self.meeting.holds(slots)
        super()._merge_keys(self.meeting.rows(slots[here]), query[here])

    def _do(self, task: Task, *queries: Tensor, width: int = 0) -> Any:
        self._refresh()  # others may search before it is the task's turn
        return self.meeting.do(task, self.keys.device, *queries, width=width)

    # --- What ranks do together -------------------------------------------------------------------

    def _sum_together(self, lengths: Lengths, width: int, *queries: Tensor) -> Tensor:
        """Return the sums for the own queries, slots and weights [N, m], with m at most ``width``.

        Every rank adds up what it has for all queries; the one that asked adds up the ranks'.
        """
        slots, weights = queries or (self.values.new_empty(0, width), self.keys.new_empty(0, width))
        slots, weights = (
            gather(F.pad(part, (0, width - part.shape[1])), lengths, self.meeting.group)
            for part in (slots, weights)
        )
        elsewhere = ~self.meeting.holds(slots)
        rows = self.meeting.rows(slots).masked_fill(elsewhere, 0)
        sums = super()._sum_keys(self.keys, rows, weights.masked_fill(elsewhere, 0.0))
        return exchange(sums, lengths, self.meeting.group).sum(dim=0)

    def _commit_together(self, _: Lengths, __: int) -> CommitReport:
        return super().commit()

    def _gather_together(self, _: Lengths, __: int) -> Tensor | None:
        """Return all keys [S, D] in main memory on rank 0, None on the others."""
        ranks, group = self.meeting.ranks, self.meeting.group
        whole = np.zeros((self.size if self.meeting.rank == 0 else 0, self.key_dim), np.float32)
        most = -(-self.size // ranks)  # keys of rank 0
        for begin in range(0, most, _AT_ONCE):
            count = min(_AT_ONCE, most - begin)
            own = self.keys[begin : begin + count]  # may be one less than on rank 0
            own = F.pad(own, (0, 0, 0, count - len(own)))
            received = exchange(own, [count] + [0] * (ranks - 1), group)  # [ranks, count, D]
            rows = received.transpose(0, 1).flatten(0, 1).cpu().numpy()  # in the order of slots
            part = whole[begin * ranks :][: len(rows)]
            part[:] = rows[: len(part)]
        return torch.from_numpy(whole) if self.meeting.rank == 0 else None

    def _nothing(self, _: Lengths, __: int) -> None:
        """Serving is over once all ranks serve."""

    # --- Checkpoints ------------------------------------------------------------------------------

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        """Load the keys of this rank from those of a whole memory."""
        state.upgrade(state_dict, prefix)
        keys = state_dict.get(prefix + "keys")
        if keys is not None and len(keys) == self.size:
            state_dict[prefix + "keys"] = keys[self.meeting.here].contiguous()
        super()._load_from_state_dict(state_dict, prefix, *args)


def sharded_in(model: nn.Module) -> list[ShardedMemory]:
    """Return the sharded memory of a model, if it has one."""
    return [memory for memory in memories_in(model) if isinstance(memory, ShardedMemory)]


def serve(model: nn.Module) -> None:
    """Answer queries of other ranks to the memory of a model until all ranks call this.

    Nothing happens if the memory is not sharded.
    """
    for memory in sharded_in(model):
        memory.serve()


@contextmanager
def whole(model: nn.Module) -> Iterator[None]:
    """Let the memory of a model be whole on rank 0 within this context, to save it."""
    with ExitStack() as stack:
        for memory in sharded_in(model):
            stack.enter_context(memory.whole())
        yield
