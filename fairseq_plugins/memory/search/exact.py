"""Exact nearest-neighbour search over the keys of a memory.

The result is the same as comparing every query with every key in float32 and sorting. It is found
in three steps, none of which sorts a row as long as the memory:

1. *Coarse*: one matrix product of all queries with all keys, minus their mean, in bfloat16
   where that is fast.
2. *Select*: the slots whose coarse similarity may be among the k best of a query.
3. *Re-score*: these candidates in float32; the k best of them, with ties to the lower slot.

The :class:`~fairseq_plugins.memory.search.mirror.Mirror` bounds the rounding error of step 1, so no
neighbour is lost. The similarity of a query and a key does not depend on the other queries of the
batch. Step 2 differs: CPUs select by a threshold, accelerators select a fixed number. For few
queries, CPUs compare short sketches of the keys in step 1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_plugins.memory.hits import NOTHING
from fairseq_plugins.memory.search.contents import Contents, find_holes, follow_holes
from fairseq_plugins.memory.search.mirror import DTYPES, Mirror, coarse_dtype
from fairseq_plugins.memory.search.selection import Selection
from fairseq_plugins.memory.search.sketches import SketchedSearch
from fairseq_plugins.memory.search.threshold import Threshold


class ExactSearch:
    """Exact search by a blocked matrix product, on CPU and CUDA.

    Args:
        dtype: type of the coarse product: ``float32``, ``bfloat16``, ``float16`` or ``auto``.
        budget_mb: largest size in MiB of the coarse similarities and the selection of candidates.
            At least one query is always processed.
    """

    def __init__(self, dtype: str = "auto", budget_mb: int = 64) -> None:
        if dtype != "auto" and dtype not in DTYPES:
            raise ValueError(f"search dtype {dtype!r} is not one of auto, {', '.join(DTYPES)}")
        if budget_mb <= 0:
            raise ValueError(f"search budget must be at least 1 MiB, not {budget_mb}")
        self.dtype = dtype
        self.on_cpu = Threshold(budget_mb << 20)
        self.elsewhere = Selection(budget_mb << 20)
        self._keys: Tensor | None = None
        self.of_few = SketchedSearch(dtype, budget_mb << 20)
        self._mirror: Mirror | None = None  # made when it is first needed
        self._extent, self._holes = 0, torch.empty(0, dtype=torch.int64)

    @torch.inference_mode(False)  # the contents must outlive a caller's inference mode
    def update(self, keys: Tensor, values: Tensor, changed: Tensor | None = None) -> None:
        """Set the contents, see :class:`~fairseq_plugins.memory.search.NearestNeighbors`."""
        if changed is None or self._keys is None:
            self._mirror = None
            self._extent, self._holes = find_holes(values)
        else:
            self._extent, self._holes = follow_holes(values, changed, self._extent, self._holes)
        if changed is not None and self._mirror is not None:
            # Recompute the center after as many changes as there are keys.
            if self._mirror.stale + len(changed) >= self._extent:
                self._mirror = None
            else:
                self._mirror.update(keys, changed)
        self.of_few.update(keys, self._extent, self._holes, changed)
        self._keys = keys

    @property
    def filled(self) -> int:
        """Number of slots with a key."""
        return self._extent - len(self._holes)

    def _contents(self) -> Contents:
        """Return what is searched."""
        assert self._keys is not None  # update() must be called before search()
        if self._mirror is None:
            dtype = coarse_dtype(self.dtype, self._keys.device)
            self._mirror = Mirror(self._keys, self._extent, dtype)
        return Contents(self._keys, self._mirror, self._extent, self._holes)

    @torch.inference_mode(False)
    def search(self, query: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Search, see :class:`~fairseq_plugins.memory.search.NearestNeighbors`."""
        found = min(k, self._extent)
        similarities = query.new_empty(len(query), 0)
        slots = similarities.long()
        if found and len(query):
            similarities, slots = self._nearest(query, found)
        missing = 0, k - similarities.shape[1]
        return F.pad(similarities, missing, value=-torch.inf), F.pad(slots, missing, value=NOTHING)

    def _nearest(self, query: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Return the similarities and slots [N, k] of the k best; k <= extent."""
        if query.is_cuda:
            return self.elsewhere.search(query, k, self._contents())
        found = self.of_few.search(query, k)
        return self.on_cpu.search(query, k, self._contents()) if found is None else found
