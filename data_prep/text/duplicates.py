"""A set of numbers that takes eight bytes for each."""

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]


class Seen:
    """Remembers 64-bit hashes of pairs, as sorted arrays.

    A Python set would take ten times the space. New hashes come in batches; arrays of similar sizes
    are merged, so there are never many of them.
    """

    def __init__(self) -> None:
        self.runs: list[Hashes] = []

    def contains(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Return for each hash [n] whether it was added."""
        found = np.zeros(len(hashes), dtype=bool)
        for run in self.runs:
            place = np.searchsorted(run, hashes).clip(max=len(run) - 1)
            found |= run[place] == hashes
        return found

    def add(self, hashes: Hashes) -> None:
        """Add hashes [n]."""
        if not len(hashes):
            return
        run = np.unique(hashes)
        while self.runs and len(self.runs[-1]) < 2 * len(run):
            run = np.union1d(self.runs.pop(), run)
        self.runs.append(run)

    def add_new(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Add hashes [n]; return for each whether it is new, also among these."""
        new = ~self.contains(hashes)
        _, first = np.unique(hashes, return_index=True)
        firsts = np.zeros(len(hashes), dtype=bool)
        firsts[first] = True
        self.add(hashes[new])
        return new & firsts
