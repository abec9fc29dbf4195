"""Exact search for few queries at a time, which reads short sketches of the keys first.

With few queries, a search takes as long as reading the keys. With an orthonormal basis P of the
directions in which keys differ most, and the rest r(x) = x - P P'x of a vector x,

    q . K = P'q . P'K + r(q) . r(K) <= P'q . P'K + |r(q)| |r(K)|

so the product of two *sketches* (P'x, |r(x)|), which are shorter than keys, is an upper bound of
the similarity. The search has three steps:

1. *Bounds*: one matrix product of the sketches of queries and keys.
2. *Floor*: at least k slots reach the k-th greatest maximum of blocks of slots. The k-th best
   similarity of those that do is a floor for the k nearest.
3. *Re-score*: all slots whose bound reaches the floor, in float32; the k best of them.

Where too many slots reach it, the caller must search in another way.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_plugins.memory.hits import NOTHING
from fairseq_plugins.memory.search.mirror import coarse_dtype
from fairseq_plugins.memory.search.selection import best, dot_products

FEW = 16  # greatest number of queries
LEAST = 16_384  # slots from which a search is faster with sketches
BLOCK = 64  # slots whose greatest bound is looked at first
MANY = 16  # one in so many slots is too many to re-score
ENERGY = 0.9  # least share of the keys' squared length that their sketches keep
LANES = 16  # the length of a sketch is a multiple of this, for a fast product
SHORTER = 2  # sketches are at most this part of a key
SAMPLE = 8192  # keys that determine the basis


class Sketches:
    """Sketches of the keys of a memory.

    Args:
        keys: [S, D].
        extent: the highest filled slot plus one.
        dtype: of the sketches.

    Attributes:
        rows: [S or a few more, m + 1], of the keys; None if they would not be much shorter.
        changed: number of keys that have changed since the basis was chosen.
    """

    def __init__(self, keys: Tensor, extent: int, dtype: torch.dtype) -> None:
        sample = keys[:extent][:: -(-extent // SAMPLE)].double()
        energy, directions = torch.linalg.eigh(sample.t() @ sample)  # ascending
        kept = energy.flip(0).cumsum(0) / energy.sum()
        width = -(-(int((kept < ENERGY).sum()) + 2) // LANES) * LANES - 1
        self.changed, self._dtype = 0, dtype
        self.rows: Tensor | None = None
        if (width + 1) * SHORTER <= keys.shape[1]:
            self._basis = directions[:, -width:].to(keys.dtype).contiguous()  # [D, m]
            self.rows = self._of(keys[:extent])
            self._make_room(len(keys))

    def update(self, keys: Tensor, changed: Tensor) -> None:
        """Update the sketches of the keys [S, D] of slots [C]; S may have grown."""
        self.changed += len(changed)
        if self.rows is not None:
            self._make_room(len(keys))
            self.rows[changed] = self._of(keys[changed])

    def _make_room(self, slots: int) -> None:
        assert self.rows is not None
        more = -(-slots // BLOCK) * BLOCK - len(self.rows)
        if more > 0:
            self.rows = F.pad(self.rows, (0, 0, 0, more))

    def _of(self, vectors: Tensor) -> Tensor:
        """Return the sketches of vectors [n, D]."""
        within = vectors @ self._basis
        rest = (vectors - within @ self._basis.t()).norm(dim=1, keepdim=True)
        return torch.cat([within, rest], dim=1).to(self._dtype)

    def bounds(self, query: Tensor) -> Tensor:
        """Return bounds on the similarities of unit queries [n, D] to all keys [n, S or more].

        They are rounded, see :meth:`error`.
        """
        assert self.rows is not None
        return torch.mm(self._of(query), self.rows.t())

    def error(self) -> float:
        """Return how much a bound of unit vectors may be too low."""
        unit = torch.finfo(self._dtype).eps / 2  # of the two sketches and their product
        sums = 2 * len(self._basis) ** 1.5 * torch.finfo(torch.float32).eps  # of the projections
        return 3 * unit * (1 + 2 * unit) + sums


class SketchedSearch:
    """A search for few queries on a CPU; it makes sketches when they are first needed.

    Args:
        dtype: name of the type of sketches, as for :func:`~.mirror.coarse_dtype`.
        budget: largest size of the bounds, in bytes.

    Attributes:
        most: greatest number of queries.
        least: number of slots from which it is used.
    """

    def __init__(self, dtype: str, budget: int) -> None:
        self.most, self.least = FEW, LEAST
        self._dtype, self._budget = dtype, budget
        self._sketches: Sketches | None = None

    def update(self, keys: Tensor, extent: int, holes: Tensor, changed: Tensor | None) -> None:
        """Set the contents.

        Args:
            keys: [S, D].
            extent: the highest filled slot plus one.
            holes: empty slots below it.
            changed: [C] int64, the only slots that differ from the last call; None for any slots.
        """
        self._keys, self._extent, self._holes = keys, extent, holes
        if changed is None:
            self._sketches = None
        elif self._sketches is not None:
            # Choose the basis again after as many changes as there are keys.
            if self._sketches.changed + len(changed) >= extent:
                self._sketches = None
            else:
                self._sketches.update(keys, changed)

    def search(self, query: Tensor, k: int) -> tuple[Tensor, Tensor] | None:
        """Return the similarities and slots [n, k] of the k best, best first.

        Returns:
            None if another search is faster.
        """
        size = len(query) * len(self._keys) * query.element_size()
        if len(query) > self.most or self._extent < self.least or size > self._budget:
            return None
        if self._sketches is None:
            dtype = coarse_dtype(self._dtype, self._keys.device)
            self._sketches = Sketches(self._keys, self._extent, dtype)
        if self._sketches.rows is None:
            return None
        bounds = self._sketches.bounds(query)  # [n, S or more]
        bounds[:, self._extent :] = -torch.inf
        bounds[:, self._holes] = -torch.inf
        blocks = bounds.view(len(query), -1, BLOCK)
        maxima = blocks.amax(dim=2).float()
        if k > maxima.shape[1]:
            return None
        floor = maxima.topk(k, dim=1).values[:, -1]
        if bool((floor == -torch.inf).any()):  # less than k blocks have a key
            return None
        found = self._best(query, k, _reaching(blocks, maxima, floor))
        if found is None:
            return None
        floor = found[0][:, -1] - self._sketches.error()
        return self._best(query, k, _reaching(blocks, maxima, floor))

    def _best(self, query: Tensor, k: int, slots: Tensor | None) -> tuple[Tensor, Tensor] | None:
        """Return the k best of slots [n, m]; None if there are too many."""
        if slots is None:
            return None
        return best(dot_products(query, self._keys, slots), slots.clamp(min=0), k)


def _reaching(blocks: Tensor, maxima: Tensor, floor: Tensor) -> Tensor | None:
    """Return the slots [n, m] whose bounds reach the floor of each query, -1 where there are fewer.

    Args:
        blocks: bounds [n, blocks, BLOCK].
        maxima: of each block [n, blocks].
        floor: [n].

    Returns:
        None if they are too many.
    """
    row, block = torch.nonzero(maxima >= floor.unsqueeze(1), as_tuple=True)
    pair, place = torch.nonzero(blocks[row, block] >= floor[row].unsqueeze(1), as_tuple=True)
    row, slot = row[pair], block[pair] * BLOCK + place
    counts = torch.bincount(row, minlength=len(blocks))
    if len(slot) * MANY > blocks.numel():
        return None
    slots = slot.new_full((len(blocks), int(counts.max())), NOTHING)
    begins = counts.cumsum(0) - counts
    slots[row, torch.arange(len(slot)) - begins[row]] = slot
    return slots
