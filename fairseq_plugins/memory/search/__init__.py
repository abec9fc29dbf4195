"""Nearest neighbours among the keys: the protocol of a search, and the available searches.

To add one, write a class with the two methods of :class:`NearestNeighbors`, and add it to
:data:`NAMES` and :func:`create`; to add an approximate one, write an
:class:`~.approximate.Index`. ``--memory-search`` selects it.
"""

from typing import Protocol

from torch import Tensor

from fairseq_plugins.memory.config import MemoryConfig
from fairseq_plugins.memory.search.approximate import ApproximateSearch
from fairseq_plugins.memory.search.exact import ExactSearch
from fairseq_plugins.memory.search.inverted_lists import InvertedLists, installed
from fairseq_plugins.memory.search.lsh import Hashing

NAMES = ("auto", "exact", "ivf", "lsh", "faiss:FACTORY")
FAISS = "faiss:"
FEW = 1024  # keys that an index is not worth making for
CROSSING = 250_000  # keys from which inverted lists are faster than exact search (docs/scaling.md)


class NearestNeighbors(Protocol):
    """Protocol of a search. Keys and queries are unit vectors in float32."""

    def search(self, query: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return similarities [N, k] and slots [N, k], best first; -inf and -1 where none."""

    def update(self, keys: Tensor, values: Tensor, changed: Tensor | None = None) -> None:
        """Set the contents of the memory to ``keys`` [S, D] and ``values`` [S].

        ``changed`` [C] names the only slots that differ from the last call, except for empty ones
        that were added at the end; None for any slots.
        """


def create(config: MemoryConfig) -> NearestNeighbors:
    """Create the search of a memory.

    Args:
        config: of the memory. ``auto`` is exact up to :data:`CROSSING` keys, then ``ivf`` where
            faiss is installed.

    Raises:
        ValueError: if the search is unknown, or cannot be made.
    """
    name = config.search
    if name == "exact" or (name == "auto" and not installed()):
        return ExactSearch(config.search_dtype, config.search_budget_mb)
    if name == "auto":
        return ApproximateSearch(InvertedLists(config.key_dim), config, CROSSING)
    if name == "ivf":
        return ApproximateSearch(InvertedLists(config.key_dim), config, FEW)
    if name == "lsh":
        return ApproximateSearch(Hashing(config.key_dim, config.seed), config, FEW)
    if name.startswith(FAISS):
        lists = InvertedLists(config.key_dim, name.removeprefix(FAISS))
        return ApproximateSearch(lists, config, lists.least)
    raise ValueError(f"memory search {name!r} is not one of {', '.join(NAMES)}")
