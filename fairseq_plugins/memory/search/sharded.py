"""Search in a memory whose slots are divided among processes.

Each rank searches its own slots for the queries of all ranks, and returns its k best answers to
each. The k best of these are the same, to the last bit, as those of one process that searches all
slots, if the search is exact: a similarity depends on its query and its key alone.
"""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from fairseq_plugins.memory.collective import exchange, gather
from fairseq_plugins.memory.config import MemoryConfig
from fairseq_plugins.memory.meeting import Lengths, Meeting, Task
from fairseq_plugins.memory.search.apart import SearchApart
from fairseq_plugins.memory.search.ordering import pack, unpack

Search = Callable[[Tensor, int], tuple[Tensor, Tensor]]


class ShardedSearch(SearchApart):
    """Two searches over the slots of this rank that answer the queries of all ranks.

    Args:
        config: of the memory.
        meeting: of its ranks.
    """

    def __init__(self, config: MemoryConfig, meeting: Meeting) -> None:
        super().__init__(config)
        self.meeting = meeting
        meeting.parts[Task.SEARCH] = partial(self._together, super().search_others)
        meeting.parts[Task.SEARCH_LESSONS] = partial(self._together, super().search_lessons)

    def update(
        self, keys: Tensor, values: Tensor, pinned: Tensor, any_pinned: bool, changed: Tensor | None
    ) -> None:
        """Set the contents, as in the base class, but with the keys of this rank only."""
        here = self.meeting.here
        if changed is not None:
            changed = self.meeting.rows(changed[self.meeting.holds(changed)])
        self._none = keys[:0]
        super().update(keys, values[here], pinned[here], any_pinned, changed)

    def search_others(self, unit: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return similarities and slots [N, k] of the nearest slots that were not taught."""
        return _cut(self.meeting.do(Task.SEARCH, unit.device, unit.detach(), width=k), k)

    def search_lessons(self, unit: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return similarities and slots [N, k] of the nearest slots that were taught."""
        lessons = Task.SEARCH_LESSONS
        return _cut(self.meeting.do(lessons, unit.device, unit.detach(), width=k), k)

    def _together(
        self, search: Search, lengths: Lengths, k: int, unit: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Answer the queries of all ranks, of which ``unit`` [N, D] are those of this one."""
        unit = self._none if unit is None else unit
        similarities, rows = search(gather(unit, lengths, self.meeting.group), k)
        answers = pack(similarities, self.meeting.slots(rows.clamp(min=0)))
        found = exchange(answers, lengths, self.meeting.group)  # [ranks, N, k]
        return unpack(found.transpose(0, 1).flatten(1).topk(k, dim=1, largest=False).values)


def _cut(found: tuple[Tensor, Tensor], k: int) -> tuple[Tensor, Tensor]:
    """Return the first k answers; another rank may have asked for more."""
    return found[0][:, :k], found[1][:, :k]
