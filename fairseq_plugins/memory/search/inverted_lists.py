"""Inverted lists of faiss: each key is in the list of its nearest centroid, and few are searched.

Keys are added and removed one by one: faiss keeps a table of where each slot is. Indices that have
no such table (HNSW, product quantisation with fast scan) cannot forget, and are refused.
"""

import logging
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fairseq_plugins.memory.search.stored_index import Partition

_AT_ONCE = 1 << 16  # keys that are added at once
_KEYS_PER_CENTROID = 64  # that k-means sees
_ITERATIONS = 10  # of k-means; more of them move the centroids little
_CODES = 256  # entries of the usual code book of product quantisation


class InvertedLists:
    """An index of faiss with inverted lists.

    Keys are unit vectors, so the nearest ones by distance are those of greatest similarity.

    Args:
        key_dim: D.
        factory: of the index, as faiss writes it; None for lists of keys in float16, as many as the
            square root of the number of keys.

    Raises:
        ValueError: if faiss is not installed, cannot build the index, or cannot remove from it.
    """

    def __init__(self, key_dim: int, factory: str | None = None) -> None:
        self.key_dim, self.factory = key_dim, factory
        self._index, self._lists = self._build(1)

    def __getstate__(self) -> dict:
        """Leave the contents out of copies and pickles."""
        return {"key_dim": self.key_dim, "factory": self.factory}

    def __setstate__(self, state: dict) -> None:
        self.__init__(**state)  # type: ignore[misc]

    @property
    def least(self) -> int:
        """Number of keys from which centroids and code books can be fitted well."""
        return _KEYS_PER_CENTROID * max(self._lists.nlist, _CODES)

    @property
    def efforts(self) -> list[int]:
        """Numbers of lists to search: 1, 2, 3, 4, 6, 8, 12, 16, ..., all."""
        lists = self._lists.nlist
        steps = (step << power for power in range(lists.bit_length()) for step in (2, 3))
        return [1, *(step for step in steps if step < lists), lists]

    @property
    def imbalance(self) -> float:
        """Cost of a search relative to lists of equal lengths."""
        return self._lists.invlists.imbalance_factor()

    @staticmethod
    def runs_on(device: torch.device) -> bool:
        """Return whether keys on a device can be indexed; faiss cannot remove from a GPU."""
        return device.type == "cpu"

    def fit(self, keys: Tensor, slots: Tensor) -> None:
        """Place the centroids, see :class:`~.approximate.Index`."""
        self._index, self._lists = self._build(len(slots))
        some = slots[:: max(1, len(slots) // (_KEYS_PER_CENTROID * max(self._lists.nlist, _CODES)))]
        self._index.train(keys[some].numpy())

    def add(self, slots: Tensor, keys: Tensor) -> None:
        """Add keys, see :class:`~.approximate.Index`."""
        self._index.add_with_ids(keys.numpy(), slots.numpy())

    def remove(self, slots: Tensor) -> None:
        """Remove slots, see :class:`~.approximate.Index`."""
        self._index.remove_ids(_faiss().IDSelectorArray(slots.numpy()))

    def partition(self, slots: Tensor) -> Partition | None:
        """Return the lists of slots, see :class:`~.approximate.Index`; None with a factory.

        The code books of a factory's index would have to be made again.
        """
        if self.factory is not None:
            return None
        faiss, inverted = _faiss(), self._lists.invlists
        lists = np.empty(len(slots), dtype=np.int32)
        for number in range(self._lists.nlist):
            members = faiss.rev_swig_ptr(inverted.get_ids(number), inverted.list_size(number))
            lists[np.searchsorted(slots.numpy(), members)] = number
        centroids = self._lists.quantizer.reconstruct_n(0, self._lists.nlist)
        return Partition(torch.from_numpy(centroids), torch.from_numpy(lists))

    def restore(self, keys: Tensor, slots: Tensor, partition: Partition) -> bool:
        """Fill the lists without comparing keys, see :class:`~.approximate.Index`."""
        if self.factory is not None:
            return False
        index, lists = self._build(len(slots))
        if lists.nlist != len(partition.centroids):
            return False
        faiss, centroids = _faiss(), partition.centroids.numpy()
        lists.quantizer.add(centroids)
        index.train(centroids)  # the centroids are there, and keys in float16 need nothing else
        for some, list_of in zip(
            slots.split(_AT_ONCE), partition.lists.long().split(_AT_ONCE), strict=True
        ):
            arrays = keys[some].numpy(), some.numpy(), list_of.numpy()
            index.add_core(len(some), *map(faiss.swig_ptr, arrays))
        self._index, self._lists = index, lists
        return True

    def propose(self, query: Tensor, count: int, effort: int, keys: Tensor) -> Tensor:
        """Propose slots, see :class:`~.approximate.Index`."""
        self._lists.nprobe = effort
        return torch.from_numpy(self._index.search(query.numpy(), count)[1])

    def __str__(self) -> str:
        """Return a description for the log."""
        return f"{self._lists.nlist:,} lists"

    def _build(self, keys: int) -> tuple[Any, Any]:
        """Return an empty index for a number of keys, and its part that has the lists."""
        faiss = _faiss()
        factory = self.factory
        if factory is None:
            # Short numbers are read faster, and every proposal is scored again anyway.
            factory = f"IVF{1 << round(keys.bit_length() / 2)},SQfp16"
        try:
            index = faiss.index_factory(self.key_dim, factory, faiss.METRIC_L2)
        except RuntimeError as error:
            raise ValueError(
                f"memory search faiss:{factory}: faiss cannot build this for keys of width "
                f"{self.key_dim}; give one of its factory strings, such as faiss:IVF1024,SQ8"
            ) from error
        try:
            lists = faiss.extract_index_ivf(index)
            lists.set_direct_map_type(faiss.DirectMap.Hashtable)
            none = torch.empty(0, dtype=torch.int64, device="cpu")  # whatever the default device
            index.remove_ids(faiss.IDSelectorArray(none.numpy()))
        except RuntimeError as error:
            raise ValueError(
                f"memory search faiss:{factory}: faiss cannot remove single keys from this; give "
                "one with inverted lists, such as faiss:IVF1024,SQ8"
            ) from error
        lists.cp.niter, lists.cp.max_points_per_centroid = _ITERATIONS, _KEYS_PER_CENTROID
        lists.cp.min_points_per_centroid = 1  # fewer are not worth a warning
        return index, lists


def installed() -> bool:
    """Return whether faiss is installed."""
    return find_spec("faiss") is not None


def _faiss() -> Any:
    """Import faiss and give it as many threads as torch; torch must be imported before it."""
    if not installed():
        raise ValueError("this memory search needs faiss: pip install 'fairseq-memory[faiss]'")
    logging.getLogger("faiss.loader").setLevel(logging.WARNING)  # it reports every attempt
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    return faiss
