"""The cost of a search as the memory grows, beside faiss used by itself."""

import importlib
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory.search import ApproximateSearch, ExactSearch
from fairseq_plugins.memory.search.recall import Recall, recall
from fairseq_plugins.plots.style import legend_above, plt, save

WORDS = 30_000  # values, with frequencies that follow Zipf's law
CONTEXT = 0.5  # length of what the context adds to the direction of a word
DECAY = 4.0  # natural logarithm of the ratio of the first and the last variance; a trained
# translator's keys have 64 % of their variance in a quarter of the dimensions
RIVALS = ("faiss flat", "faiss ivf")
STATUS = Path("/proc/self/status")  # on Linux


@dataclass(frozen=True)
class Load:
    """The work to measure.

    Attributes:
        dim: width of keys.
        queries: number of queries that are asked, and then written, at once.
        neighbors: k.
        steps: number of steps to measure, after one that is not.
        recall: that approximate searches must reach.
        seed: of keys and queries.
    """

    dim: int = 128
    queries: int = 256
    neighbors: int = 32
    steps: int = 5
    recall: float = 0.99
    seed: int = 1


@dataclass(frozen=True)
class Cost:
    """The cost of a search among so many slots: medians over steps, and recall.

    Attributes:
        search: name.
        slots: of a full memory.
        made: seconds of the first query, in which the index is made and its effort chosen.
        query: seconds for the queries of a step.
        commit: seconds to write them; None if the search cannot change.
        found: recall of a step.
        bytes: that the search adds to each slot, beside the key; None if the system does not say.
    """

    search: str
    slots: int
    made: float
    query: float
    commit: float | None
    found: Recall
    bytes: float | None


class Text:
    """An endless text: words, and keys like those that a trained network makes of them."""

    def __init__(self, load: Load) -> None:
        self._random = torch.Generator().manual_seed(load.seed)
        deviations = torch.exp(-DECAY / 2 * torch.arange(load.dim) / load.dim)
        self._deviations = deviations / deviations.norm()
        self._words = F.normalize(self._vectors(WORDS), dim=1)

    def _vectors(self, count: int) -> Tensor:
        """Return random vectors [count, dim], of length 1 on average."""
        numbers = torch.randn(count, len(self._deviations), generator=self._random)
        return numbers * self._deviations

    def read(self, count: int) -> tuple[Tensor, Tensor]:
        """Return keys [count, dim] and words [count]."""
        uniform = torch.rand(count, generator=self._random)
        words = (WORDS**uniform).long().clamp(max=WORDS) - 1  # P(rank <= r) = log r / log WORDS
        return F.normalize(self._words[words] + CONTEXT * self._vectors(count), dim=1), words


def measure(name: str, slots: int, load: Load, threads: int) -> Cost:
    """Measure one search, in a process of its own.

    Args:
        name: for ``--memory-search``, or one of :data:`RIVALS`.
        slots: number of slots, all filled.
        load: the work.
        threads: number of threads.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(measure_here, name, slots, load, threads).result()


def measure_here(name: str, slots: int, load: Load, threads: int) -> Cost:
    """Measure one search in this process, which has had little memory until now."""
    torch.set_num_threads(threads)
    text = Text(load)
    keys, values = torch.empty(slots, load.dim), torch.empty(slots, dtype=torch.int64)
    for rows in torch.arange(slots).split(1 << 20):
        keys[rows], values[rows] = text.read(len(rows))
    measured = _rival if name in RIVALS else _ours
    return measured(name, keys, values, text, load)


def _ours(name: str, keys: Tensor, values: Tensor, text: Text, load: Load) -> Cost:
    shape = len(keys), load.dim, WORDS
    memory = KeyValueMemory(  # whose own keys take no space
        *shape, load.neighbors, search=name, recall=load.recall, storage="mmap"
    )
    memory.keys, memory.values = keys, values
    before = resident()
    made = _timed(lambda: memory.query(text.read(load.queries)[0]))
    grown = None if before is None else (resident() - before) / len(keys)  # type: ignore[operator]
    queries, commits, found = [], [], Recall(0, 0, 0)
    for step in range(load.steps + 1):
        query, target = text.read(load.queries)
        begin = time.perf_counter()
        hits = memory.query(query)
        queries.append(time.perf_counter() - begin)
        if step == load.steps:
            found = _recall(
                memory.keys, memory.values, query, (hits.similarities, hits.slots), load
            )
        memory.stage(query, target, hits, force=True)
        commits.append(_timed(memory.commit))
    search = memory._search.others
    if isinstance(search, ApproximateSearch):
        effort = search._tunings[load.neighbors].effort if search._tunings else "exact"
        name = f"{name} ({effort})"
    return Cost(name, len(keys), made, _median(queries), _median(commits), found, grown)


def _rival(name: str, keys: Tensor, values: Tensor, text: Text, load: Load) -> Cost:
    """Measure faiss by itself; as many lists are searched as reach the recall."""
    faiss: Any = importlib.import_module("faiss")  # after torch

    faiss.omp_set_num_threads(torch.get_num_threads())
    before = resident()
    begin = time.perf_counter()
    index: Any = faiss.IndexFlatIP(load.dim)
    if name == "faiss ivf":
        lists = 1 << round(len(keys).bit_length() / 2)
        index = faiss.index_factory(load.dim, f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)
        index.set_direct_map_type(faiss.DirectMap.Hashtable)
        index.train(keys[: 64 * lists].numpy())
        index.add_with_ids(keys.numpy(), torch.arange(len(keys)).numpy())
    else:
        index.add(keys.numpy())
    made = time.perf_counter() - begin
    grown = None if before is None else (resident() - before) / len(keys)  # type: ignore[operator]

    def ask(query: Tensor) -> tuple[Tensor, Tensor]:
        similarities, slots = index.search(query.numpy(), load.neighbors)
        return torch.from_numpy(similarities), torch.from_numpy(slots)

    query, _ = text.read(load.queries)
    found = _recall(keys, values, query, ask(query), load)
    while name == "faiss ivf" and found.values < load.recall and index.nprobe < index.nlist:
        index.nprobe = min(index.nlist, max(index.nprobe + 1, index.nprobe * 4 // 3))
        found = _recall(keys, values, query, ask(query), load)
    queries = [_timed(lambda: ask(text.read(load.queries)[0])) for _ in range(load.steps + 1)]
    commits = [
        _timed(lambda: _replace(index, faiss, text, load)) for _ in range(load.steps + 1)
        if name == "faiss ivf"
    ]  # fmt: skip
    if name == "faiss ivf":
        name = f"{name} ({index.nprobe})"
    return Cost(
        name, len(keys), made, _median(queries), _median(commits) if commits else None, found, grown
    )


def _replace(index: Any, faiss: Any, text: Text, load: Load) -> None:
    slots = torch.randperm(index.ntotal)[: load.queries].numpy()
    index.remove_ids(faiss.IDSelectorArray(slots))
    index.add_with_ids(text.read(load.queries)[0].numpy(), slots)


def _recall(
    keys: Tensor, values: Tensor, query: Tensor, found: tuple[Tensor, Tensor], load: Load
) -> Recall:
    exact = ExactSearch("float32")
    exact.update(keys, values)
    temperature = KeyValueMemory(1, 1, 1, load.neighbors).temperature
    return recall(exact.search(query, load.neighbors), found, values, temperature)


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _median(seconds: Sequence[float]) -> float:
    return statistics.median(seconds[1:])


def resident() -> int | None:
    """Return the bytes of main memory that this process has; None if the system does not say."""
    if not STATUS.exists():
        return None
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) << 10


def costs_table(costs: Sequence[Cost]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield (
        "| search | slots | query, ms | commit, ms | recall by value | recall@1 | recall@k | "
        "bytes a slot | made in, s |"
    )
    yield "| --- " + "| ---: " * 8 + "|"
    for cost in costs:
        commit = "" if cost.commit is None else f"{1000 * cost.commit:,.1f}"
        bytes = "not counted" if cost.bytes is None else f"{cost.bytes:,.0f}"
        yield (
            f"| {cost.search} | {cost.slots:,} | {1000 * cost.query:,.1f} | {commit} "
            f"| {cost.found.values:.3f} | {cost.found.best:.3f} | {cost.found.slots:.3f} "
            f"| {bytes} | {cost.made:.1f} |"
        )


def draw(costs: Sequence[Cost], path: Path) -> None:
    """Draw the time of a step's queries over the number of slots."""
    figure, axes = plt.subplots()
    for name in dict.fromkeys(cost.search.partition(" (")[0] for cost in costs):
        line = [cost for cost in costs if cost.search.partition(" (")[0] == name]
        axes.loglog([c.slots for c in line], [1000 * c.query for c in line], marker="o", label=name)
    axes.set_xlabel("slots")
    axes.set_ylabel("time of the queries of a step, ms")
    legend_above(axes)
    save(figure, path)


def as_data(load: Load, costs: Sequence[Cost]) -> dict:
    """Return all numbers, for a file."""
    return {"load": asdict(load), "costs": [asdict(cost) for cost in costs]}
