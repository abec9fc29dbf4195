"""Nearest neighbours among the keys: the protocol of a search, and the available searches.

To add one, write a class with the two methods of :class:`NearestNeighbors` that is created from the
name of a number format and a budget in MiB, and add it to :data:`BACKENDS`; ``--memory-search``
selects it.
"""

from typing import Protocol

from torch import Tensor

from fairseq_plugins.memory.search.exact import ExactSearch


class NearestNeighbors(Protocol):
    """Protocol of a search. Keys and queries are unit vectors in float32."""

    def search(self, query: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return similarities [N, k] and slots [N, k], best first; -inf and -1 where none."""

    def update(self, keys: Tensor, values: Tensor, changed: Tensor | None = None) -> None:
        """Set the contents of the memory to ``keys`` [S, D] and ``values`` [S].

        ``changed`` [C] names the only slots that differ from the last call; None for any slots.
        """


BACKENDS = {"exact": ExactSearch}
