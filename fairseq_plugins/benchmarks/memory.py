"""One step of a full memory, and the rival to beat: a matrix product and a top-k."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_plugins.benchmarks.duel import Contender, Stopwatch, Turn
from fairseq_plugins.memory import KeyValueMemory

NUM_VALUES = 8000
KNOWN = 0.5  # share of the queries whose answer is in the memory
NOISE = 0.3  # length of the noise on such a query, relative to its key
KEYS_A_CLUSTER = 16
ROUNDING = 2e-6  # of similarities in float32; closer values count as ties
RIVAL_BUDGET = 4 << 30  # bytes of similarities that the rival may hold at once


@dataclass(frozen=True)
class MemorySizes:
    """Sizes of a memory and its queries."""

    slots: int
    dim: int = 128
    queries: int = 480
    neighbors: int = 256
    dtype: str = "auto"
    """Number format of the memory's coarse product; the rival computes in float32."""
    clustered: bool = False
    """Whether keys lie in clusters of about 16, like those of one word, instead of anywhere."""
    budget_mb: int = 64
    device: str = "cpu"
    seed: int = 1


class Step:
    """A full memory, with an endless supply of queries and targets.

    Half of the queries are near a stored key and have its value as target; the others are new.

    Args:
        sizes: of the memory and its queries.
        age_noise: of the memory.
    """

    def __init__(self, sizes: MemorySizes, age_noise: float = 8.0) -> None:
        self.sizes = sizes
        self.generator = torch.Generator().manual_seed(sizes.seed)
        self.memory = KeyValueMemory(
            sizes.slots,
            sizes.dim,
            NUM_VALUES,
            neighbors=sizes.neighbors,
            age_noise=age_noise,
            search_dtype=sizes.dtype,
            search_budget_mb=sizes.budget_mb,
        ).to(sizes.device)
        clusters = max(1, sizes.slots // KEYS_A_CLUSTER)
        self._centers = self._directions(clusters) if sizes.clustered else None
        values = torch.randint(NUM_VALUES, (sizes.slots,), generator=self.generator)
        fill(self.memory, self._keys(sizes.slots), values)

    def _directions(self, count: int) -> Tensor:
        numbers = torch.randn(count, self.sizes.dim, generator=self.generator)
        return F.normalize(numbers, dim=1)

    def _keys(self, count: int) -> Tensor:
        """Return unit vectors [count, dim] like those in the memory."""
        if self._centers is None:
            return self._directions(count)
        chosen = torch.randint(len(self._centers), (count,), generator=self.generator)
        return F.normalize(self._centers[chosen] + NOISE * self._directions(count), dim=1)

    def batch(self) -> tuple[Tensor, Tensor]:
        """Return new queries [queries, dim] that require a gradient, and targets [queries]."""
        n = self.sizes.queries
        known = int(KNOWN * n)
        slots = torch.randint(self.sizes.slots, (known,), generator=self.generator)
        slots = slots.to(self.memory.keys.device)
        noise = NOISE * self._directions(known).to(slots.device)
        query = torch.cat([self.memory.keys[slots] + noise, self._keys(n - known).to(slots.device)])
        other = torch.randint(NUM_VALUES, (n - known,), generator=self.generator)
        target = torch.cat([self.memory.values[slots], other.to(slots.device)])
        return query.requires_grad_(), target

    def run(self, _: int) -> Turn:
        """Query, learn, and write, as in training."""
        query, target = self.batch()
        memory = self.memory
        with Stopwatch(self.sizes.device) as watch:
            hits = memory.query(query)
            memory.loss(query, target, hits).sum().backward()
            memory.stage(query, target, hits)
            memory.commit()
        return Turn(watch.seconds)

    def search(self, _: int) -> Turn:
        """Query only."""
        query = self.batch()[0].detach()
        with Stopwatch(self.sizes.device) as watch:
            self.memory.query(query)
        return Turn(watch.seconds)

    def rival(self, k: int, dtype: torch.dtype = torch.float32) -> Contender:
        """Return ``torch.mm`` into preallocated space, and ``topk(k)`` if k > 0, as a contender."""
        sizes = self.sizes
        keys = self.memory.keys.detach().to(dtype, copy=True).t()
        rows = max(1, min(sizes.queries, RIVAL_BUDGET // (sizes.slots * dtype.itemsize)))
        space = torch.empty(rows, sizes.slots, dtype=dtype, device=keys.device)

        def turn(_: int) -> Turn:
            query = F.normalize(self.batch()[0].detach(), dim=1).to(dtype)
            with Stopwatch(sizes.device) as watch:
                for block in query.split(rows):
                    torch.mm(block, keys, out=space[: len(block)])
                    if k:
                        space[: len(block)].topk(k, dim=1)
            return Turn(watch.seconds)

        return turn


@torch.no_grad()
def fill(memory: KeyValueMemory, keys: Tensor, values: Tensor) -> None:
    """Fill all slots of a memory with unit keys [S, D] and values [S], the first the oldest."""
    slots = torch.arange(memory.size, device=memory.keys.device)
    memory.clear()
    memory.keys.copy_(keys)
    memory.values.copy_(values)
    memory.ages = slots.flip(0)
    memory.recent.scatter_(0, memory.values, slots)


# --- The same by brute force ----------------------------------------------------------------------


def check(sizes: MemorySizes, steps: int = 2) -> list[str]:
    """Compare whole steps with brute force in float64.

    Neighbours whose similarities differ by less than float32's rounding may be swapped.

    Args:
        sizes: of memory and queries.
        steps: number of steps, each with the memory after the previous one.

    Returns:
        The errors, one line for each; nothing if all is correct.
    """
    step = Step(sizes, age_noise=0.0)  # without noise, the evicted slot does not depend on chance
    return [problem for number in range(steps) for problem in _check(step, f"step {number + 1}")]


def _check(step: Step, where: str) -> Iterator[str]:
    memory = step.memory
    query, target = step.batch()
    expected = _Expected(memory, query.detach(), target)
    hits = memory.query(query)
    losses = memory.loss(query, target, hits)
    losses.sum().backward()
    memory.stage(query, target, hits)
    report = memory.commit()

    found = expected.similarities.gather(1, hits.slots)
    ordered = hits.slots.sort(dim=1).values
    gap = (found - expected.best).abs().max()
    if bool((ordered[:, 1:] == ordered[:, :-1]).any()):
        yield f"{where}: a neighbour was found twice"
    if gap > ROUNDING:
        yield f"{where}: neighbours are not the nearest, by {gap:.1e}"
    if (gap := (found - hits.similarities).abs().max()) > ROUNDING:
        yield f"{where}: similarities are wrong by {gap:.1e}"
    if not torch.equal(hits.values, expected.values[hits.slots]):
        yield f"{where}: values are not those of the slots"
    if (gap := (losses - expected.losses).abs().max()) > 2 * ROUNDING:
        yield f"{where}: the loss is wrong by {gap:.1e}"
    assert query.grad is not None
    if (gap := (query.grad - expected.gradient).abs().max()) > 10 * ROUNDING:
        yield f"{where}: the gradient is wrong by {gap:.1e}"
    if report.merged != int(expected.merged.sum()):
        yield f"{where}: {report.merged} queries were merged, not {int(expected.merged.sum())}"
    elif (gap := (memory.keys - expected.keys_after).abs().max()) > ROUNDING:
        yield f"{where}: keys after the commit are wrong by {gap:.1e}"
    elif not torch.equal(memory.values, expected.values_after):
        yield f"{where}: values after the commit are wrong"
    elif not torch.equal(memory.ages, expected.ages_after):
        yield f"{where}: ages after the commit are wrong"


class _Expected:
    """The results of a step of a full memory without age noise, from the definitions."""

    def __init__(self, memory: KeyValueMemory, query: Tensor, target: Tensor) -> None:
        leaf = query.double().requires_grad_()
        unit = F.normalize(leaf, dim=1)
        self.similarities = unit.detach() @ memory.keys.double().t()  # [N, S]
        self.values = memory.values.clone()
        self.best, slots = self.similarities.topk(memory.neighbors, dim=1)
        self.losses = self._losses(memory, unit, slots, target)
        self.losses.sum().backward()
        assert leaf.grad is not None
        self.gradient = leaf.grad
        self.losses = self.losses.detach()

        self.merged = self.values[slots[:, 0]] == target
        self._commit(memory, unit.detach(), target, slots[:, 0])

    def _losses(
        self, memory: KeyValueMemory, unit: Tensor, slots: Tensor, target: Tensor
    ) -> Tensor:
        """Compute max(0, d_neg - d_pos + margin) [N]."""
        recent = memory.recent[target].unsqueeze(1)
        pool = torch.cat([slots, torch.where(recent >= 0, recent, slots[:, :1])], dim=1)
        similarities = (memory.keys.double()[pool] @ unit.unsqueeze(2)).squeeze(2)  # [N, k + 1]
        right = self.values[pool] == target.unsqueeze(1)
        positive = similarities.masked_fill(~right, -torch.inf).amax(dim=1)
        positive = positive.masked_fill(~right.any(dim=1), 0.0)
        negative = similarities.masked_fill(right, -torch.inf).amax(dim=1)
        return F.relu(negative - positive + memory.margin)

    def _commit(self, memory: KeyValueMemory, unit: Tensor, target: Tensor, best: Tensor) -> None:
        keys, ages = memory.keys.double(), memory.ages + 1
        merged_slots = best[self.merged]
        keys.index_add_(0, merged_slots, unit[self.merged])
        keys[merged_slots] = F.normalize(keys[merged_slots], dim=1)
        missed = torch.nonzero(~self.merged).squeeze(1)[-memory.size :]
        oldest = memory.ages.sort(descending=True, stable=True).indices[: len(missed)]
        keys[oldest] = unit[missed]
        values = self.values.clone()
        values[oldest] = target[missed]
        ages[merged_slots] = 0
        ages[oldest] = 0
        self.keys_after, self.values_after, self.ages_after = keys, values, ages
