"""The contract of the memory in plain NumPy: slow, float64, one loop per sentence.

It shares no code with the implementation. Nothing here is optimised, so that every sentence of
docs/memory.md can be found again.
"""

import math
from dataclasses import dataclass

import numpy as np

from fairseq_plugins.memory import KeyValueMemory, MemoryHits

ROUNDING = 2e-6  # a float32 similarity of two unit vectors is not further off


def normalise(vector: np.ndarray) -> np.ndarray:
    return vector / max(np.linalg.norm(vector), 1e-12)


@dataclass
class Oracle:
    keys: np.ndarray  # [S, D] float64
    values: np.ndarray  # [S], -1 where empty
    ages: np.ndarray  # [S]
    recent: np.ndarray  # [V], slot that each value was last written to, or -1
    origins: np.ndarray  # [S], who wrote the slot last, or -1
    merges: np.ndarray  # [S], pairs merged into the slot
    pinned: np.ndarray  # [S] bool, taught
    commits: int
    neighbors: int
    margin: float

    @classmethod
    def of(cls, memory: KeyValueMemory) -> "Oracle":
        """Return an oracle in the state of a memory."""
        return cls(
            memory.keys.double().numpy().copy(),
            memory.values.numpy().copy(),
            memory.ages.numpy().copy(),
            memory.recent.numpy().copy(),
            memory.origins.numpy().copy(),
            memory.merges.numpy().copy(),
            memory.pinned.numpy().copy(),
            int(memory.commits),
            memory.neighbors,
            memory.margin,
        )

    @property
    def temperature(self) -> float:
        return max(1.0, math.log(0.2 * self.neighbors) / self.margin)

    def similarity(self, query: np.ndarray, slot: int) -> float:
        return float(normalise(query) @ self.keys[slot])

    def neighbours(self, query: np.ndarray) -> list[int]:
        """Return the k filled slots most similar to a query [D], ties to the lower slot."""
        filled = [slot for slot in range(len(self.values)) if self.values[slot] >= 0]
        ranked = sorted(filled, key=lambda slot: (-self.similarity(query, slot), slot))
        return ranked[: self.neighbors]

    def weights(self, query: np.ndarray, slots: list[int]) -> np.ndarray:
        """Return the softmax over the neighbours of temperature x similarity."""
        scores = np.array([self.temperature * self.similarity(query, slot) for slot in slots])
        exponentials = np.exp(scores - scores.max()) if len(scores) else scores
        return exponentials / exponentials.sum()

    def pair(self, target: int, slots: list[int]) -> tuple[int | None, int | None]:
        """Return slots of the positive and of the negative neighbour, None where missing."""
        pool = list(slots)
        if self.recent[target] >= 0:
            pool.append(int(self.recent[target]))  # the worst of the pool, if not in it already
        right = [slot for slot in pool if self.values[slot] == target]
        wrong = [slot for slot in pool if self.values[slot] not in (target, -1)]
        return (right[0] if right else None), (wrong[0] if wrong else None)

    def loss(self, query: np.ndarray, target: int, slots: list[int]) -> float:
        """max(0, d_neg - d_pos + alpha)."""
        positive, negative = self.pair(target, slots)
        if negative is None:
            return 0.0
        d_pos = 0.0 if positive is None else self.similarity(query, positive)
        return max(0.0, self.similarity(query, negative) - d_pos + self.margin)

    def loss_gradient(self, query: np.ndarray, target: int, slots: list[int]) -> np.ndarray:
        """Return the derivative [D] of the loss with respect to the query."""
        gradient = np.zeros_like(query)
        if self.loss(query, target, slots) > 0:
            positive, negative = self.pair(target, slots)
            gradient += self.similarity_gradient(query, negative)
            if positive is not None:
                gradient -= self.similarity_gradient(query, positive)
        return gradient

    def similarity_gradient(self, query: np.ndarray, slot: int | None) -> np.ndarray:
        """d(q/|q| . K)/dq = (K - (u . K) u) / |q| with u = q/|q|."""
        assert slot is not None
        unit, key = normalise(query), self.keys[slot]
        return (key - (unit @ key) * unit) / np.linalg.norm(query)

    def commit(
        self,
        queries: np.ndarray,
        targets: np.ndarray,
        ranked: list[list[int]] | None = None,
        noise: np.ndarray | None = None,
        origin: int = -1,
    ) -> list[int]:
        """Write pairs.

        Args:
            queries: [N, D].
            targets: [N].
            ranked: slots by similarity to each query, as far down as it matters (-1: none), where
                rounding decides between several.
            noise: [S], added to the ages when slots to forget are chosen.
            origin: who writes.

        Returns:
            [N], where each pair went, or -1.
        """
        size = len(self.values)
        if ranked is None:
            ranked = [self.neighbours(query) for query in queries]
        # What is taught is not seen.
        free = [[slot for slot in row if slot >= 0 and not self.pinned[slot]] for row in ranked]
        best = [slots[0] if slots else -1 for slots in free]
        hit = [
            slot >= 0 and self.values[slot] == target
            for slot, target in zip(best, targets, strict=True)
        ]
        misses = [row for row in range(len(queries)) if not hit[row]]
        open_slots = size - int(self.pinned.sum())
        misses = misses[max(0, len(misses) - open_slots) :]  # of more than slots the last stay

        # Where the misses go is decided before anything changes.
        aged = self.ages + (noise if noise is not None else 0.0)
        empty = [slot for slot in range(size) if self.values[slot] < 0]
        full = [slot for slot in range(size) if self.values[slot] >= 0 and not self.pinned[slot]]
        full.sort(key=lambda slot: (-aged[slot], slot))
        place = dict(zip(misses, empty + full, strict=False))

        self.ages = self.ages + 1
        self.commits += 1
        touched = {slot for slot, right in zip(best, hit, strict=True) if right}
        sums = {slot: self.keys[slot].copy() for slot in touched}
        for row, slot in enumerate(best):
            if hit[row]:
                sums[slot] += normalise(queries[row])
                self.merges[slot] += 1
        for slot, total in sums.items():
            self.keys[slot] = normalise(total)
            self.ages[slot] = 0
        # A slot that was merged into and has to be forgotten ends with what is written there.
        for row, slot in place.items():
            self.keys[slot] = normalise(queries[row])
            self.values[slot] = targets[row]
            self.ages[slot] = self.merges[slot] = 0
        went = [best[row] if hit[row] else place.get(row, -1) for row in range(len(queries))]
        for slot, target in zip(went, targets, strict=True):
            if slot >= 0:
                self.recent[target] = slot
                self.origins[slot] = origin
        return went

    def teach(self, queries: np.ndarray, targets: np.ndarray, origin: int, size: int) -> list[int]:
        """Write pairs to empty slots, in a memory that has ``size`` slots by then."""
        more = size - len(self.values)
        self.keys = np.concatenate([self.keys, np.zeros((more, self.keys.shape[1]))])
        self.values = np.append(self.values, np.full(more, -1))
        self.origins = np.append(self.origins, np.full(more, -1))
        self.merges = np.append(self.merges, np.full(more, 0))
        self.pinned = np.append(self.pinned, np.full(more, False))
        # A slot that was never written to is as old as the memory, in commits.
        self.ages = np.append(self.ages, np.full(more, self.commits))
        slots = []
        for query, target in zip(queries, targets, strict=True):
            slot = int(np.flatnonzero(self.values < 0)[0])
            self.keys[slot], self.values[slot] = normalise(query), target
            self.ages[slot], self.origins[slot], self.pinned[slot] = 0, origin, True
            slots.append(slot)
        return slots

    def forget(self, slots: list[int]) -> None:
        for slot in slots:
            self.keys[slot], self.values[slot], self.ages[slot] = 0.0, -1, self.commits
            self.origins[slot], self.merges[slot], self.pinned[slot] = -1, 0, False
            self.recent[self.recent == slot] = -1

    def assert_same_state(self, memory: KeyValueMemory) -> None:
        np.testing.assert_array_equal(memory.values.numpy(), self.values)
        np.testing.assert_array_equal(memory.ages.numpy(), self.ages)
        np.testing.assert_array_equal(memory.recent.numpy(), self.recent)
        np.testing.assert_array_equal(memory.origins.numpy(), self.origins)
        np.testing.assert_array_equal(memory.merges.numpy(), self.merges)
        np.testing.assert_array_equal(memory.pinned.numpy(), self.pinned)
        assert int(memory.commits) == self.commits
        filled = self.values >= 0
        np.testing.assert_allclose(memory.keys.numpy()[filled], self.keys[filled], atol=2e-6)

    def assert_answers(self, queries: np.ndarray, hits: MemoryHits) -> None:
        """Check neighbours, similarities and weights; order only as far as rounding lets.

        Keys that are equal to the last bit have equal similarities, so between them the lower
        slot must come first, always.
        """
        for row, query in enumerate(queries):
            expected = self.neighbours(query)
            slots = hits.slots[row].tolist()
            count = len(expected)
            found = slots[:count]
            assert slots[count:] == [-1] * (self.neighbors - count)
            assert len(set(found)) == count and -1 not in found
            exact = [self.similarity(query, slot) for slot in found]
            ideal = [self.similarity(query, slot) for slot in expected]
            np.testing.assert_allclose(exact, ideal, atol=ROUNDING)
            similarities = hits.similarities[row].detach().numpy()
            np.testing.assert_allclose(similarities[:count], exact, atol=ROUNDING)
            assert (similarities[count:] == -np.inf).all()
            assert (np.diff(similarities[:count]) <= 0).all()
            weights = hits.weights[row].detach().numpy()
            np.testing.assert_allclose(weights[:count], self.weights(query, found), atol=2e-4)
            assert (weights[count:] == 0).all()
            assert hits.values[row].tolist() == [
                self.values[slot] if slot >= 0 else -1 for slot in slots
            ]
            self.assert_ties_by_slot(found)

    def assert_ties_by_slot(self, found: list[int]) -> None:
        """Of equal keys the lower slots are found, in order."""
        filled = np.flatnonzero(self.values >= 0)
        for slot in found:
            equal = [s for s in filled if (self.keys[s] == self.keys[slot]).all()]
            among = [s for s in found if s in equal]
            assert among == equal[: len(among)]
