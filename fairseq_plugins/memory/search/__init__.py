"""Nearest neighbours among the keys: what a memory asks of a search, and the searches there are.

To add one, write a class with the two methods of :class:`NearestNeighbors`, made from the name of a
number format and a budget in MiB, and name it in :data:`BACKENDS`; ``--memory-search`` chooses it.
"""

from typing import Protocol

from torch import Tensor

from fairseq_plugins.memory.search.exact import ExactSearch


class NearestNeighbors(Protocol):
    """What a memory asks of a search backend. Keys and queries are unit vectors in float32."""

    def search(self, query: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return similarities [N, k] and slots [N, k], best first; -inf and -1 where none."""

    def update(self, keys: Tensor, values: Tensor, changed: Tensor | None = None) -> None:
        """Learn that ``keys`` [S, D] and ``values`` [S] are now the memory.

        ``changed`` [C] names the only slots that differ from the last call; None means any.
        """


BACKENDS = {"exact": ExactSearch}
