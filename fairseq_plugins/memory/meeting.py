"""How the ranks that share one memory do things together, whenever one of them needs the others.

Ranks do not run in step: a translation may need more searches on one rank than on another, and a
batch of one rank a search that others do not need. So before a rank does what needs all ranks, it
tells them its task, and all of them do first what comes first in :class:`Task`. A rank that has
another task takes part without queries of its own, and asks again. So nobody waits for a rank that
waits for somebody else.
"""

import functools
from collections.abc import Callable, Sequence
from datetime import timedelta
from enum import IntEnum
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from fairseq_plugins.memory.collective import gather_numbers

# Ranks that only answer may wait for hours. One that has ended is noticed at once.
_PATIENCE = timedelta(days=365)


class Task(IntEnum):
    """What ranks do together, in the order in which it is done."""

    SEARCH = 0
    """Find the nearest slots that were not taught."""
    SEARCH_LESSONS = 1
    """Find the nearest slots that were taught."""
    SUM = 2
    """Compute sums of keys."""
    COMMIT = 3
    GATHER = 4
    """Send all keys to rank 0."""
    SERVE = 5
    """Nothing: all have finished."""


Lengths = Sequence[int]
"""The number of queries of each rank."""


class Meeting:
    """Where the ranks that share a memory agree on what to do next.

    Slot s is on rank s mod R, in row s // R of its keys.

    Attributes:
        rank: of this process.
        ranks: R, the number of processes.
        parts: for each task, what this rank does in it, given :data:`Lengths`, the width (such as
            the number of neighbours), and its own queries, or nothing if it has none.
    """

    def __init__(self) -> None:
        self.rank, self.ranks = dist.get_rank(), dist.get_world_size()
        self.parts: dict[Task, Callable[..., Any]] = {}

    @property
    def here(self) -> slice:
        """The slots of this rank, among all."""
        return slice(self.rank, None, self.ranks)

    @property
    def group(self) -> Any:
        """The group of ``torch.distributed`` for this alone: gradients have another one."""
        return _own_group(dist.group.WORLD)

    def holds(self, slots: Tensor) -> Tensor:
        """Return which slots [...] are on this rank: bool."""
        return slots % self.ranks == self.rank

    def rows(self, slots: Tensor) -> Tensor:
        """Return the rows of slots [...] on their ranks."""
        return slots // self.ranks

    def slots(self, rows: Tensor) -> Tensor:
        """Return the slots of rows [...] of this rank."""
        return rows * self.ranks + self.rank

    def do(self, task: Task, device: torch.device, *queries: Tensor, width: int = 0) -> Any:
        """Do something as soon as it is its turn, and take part in what others do until then.

        Args:
            task: what to do.
            device: of the memory.
            queries: of this rank, each [N, ...].
            width: for instance the number of neighbours.

        Returns:
            What ``parts`` returns for the task.

        Raises:
            RankLost: if another rank has ended.
        """
        plan = [task, len(queries[0]) if queries else 0, width]
        while True:
            plans = gather_numbers(plan, device, self.group)
            first = Task(min(planned for planned, _, _ in plans))
            lengths = [length if planned == first else 0 for planned, length, _ in plans]
            widest = max(wide for planned, _, wide in plans if planned == first)
            own = queries if task == first else ()
            done = self.parts[first](lengths, widest, *own)
            if task == first:
                return done


@functools.lru_cache(maxsize=1)
def _own_group(_: Any) -> Any:
    """Create one group of all ranks; the argument tells whether the ranks are still the same."""
    return dist.new_group(timeout=_PATIENCE)
