"""The cost of a memory of several ranks: what they send to each other, time, and space.

All ranks have the whole memory, or it is divided among them.
"""

import hashlib
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F

from fairseq_plugins.benchmarks.search import resident
from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory.sharded import ShardedMemory
from fairseq_plugins.memory.state import LAYOUT, empty_memory

VALUES = 32_000  # words of a vocabulary
NUMBER, INDEX = 4, 8  # bytes of a number in a key or a weight; of a slot, a value or an answer
REST = 4 * INDEX + 1  # bytes of a slot without its key
WARM_UP = 2  # steps
PHASES = ("search", "learn", "commit")
COUNTERS = Path("/proc/net/dev")  # on Linux


@dataclass(frozen=True)
class Load:
    """The work of a step.

    Attributes:
        tokens: number of tokens of each rank.
        key_dim: D, the width of keys.
        slots: S, the number of slots.
        steps: number of steps to measure.
        neighbors: k, the number of neighbours.
    """

    tokens: int
    key_dim: int
    slots: int
    steps: int
    neighbors: int = 32

    def received(self, phase: str, ranks: int, divided: bool) -> int:
        """Return the bytes that each rank receives from the others in a phase of a step."""
        key = self.key_dim * NUMBER
        if phase == "commit":  # query, value, origin, and the slot to merge into
            token = key + 3 * INDEX
        elif not divided:
            token = 0
        elif phase == "search":  # the query, and the answers of the other rank
            token = key + self.neighbors * INDEX
        else:  # the keys of the positive and of the negative neighbour
            token = 2 * (key + INDEX + NUMBER)
        return (ranks - 1) * self.tokens * token

    def memory_bytes(self, ranks: int, divided: bool) -> int:
        """Return the bytes of a rank's memory: keys, their copy in bfloat16, and the rest."""
        keys = -(-self.slots // ranks) if divided else self.slots
        return keys * self.key_dim * (NUMBER + NUMBER // 2) + self.slots * REST


@dataclass(frozen=True)
class Cost:
    """The cost of one step.

    Attributes:
        ranks: number of ranks.
        divided: whether the memory is divided among them.
        seconds: of each phase, as medians over steps.
        received: bytes for each rank in each phase, computed.
        measured: bytes sent over the loopback network per rank in each phase, including
            everything; None if the system does not count them.
        space: bytes of the memory on each rank, computed.
        resident: bytes of main memory that a rank takes for it; None if the system does not tell.
        same: a digest of what all ranks found and hold in the end; None if they differ.
    """

    ranks: int
    divided: bool
    seconds: dict[str, float]
    received: dict[str, int]
    measured: dict[str, float] | None
    space: int
    resident: int | None
    same: str | None


def measure(ranks: int, load: Load, divided: bool = False) -> Cost:
    """Let processes with one thread each have one memory together, through gloo."""
    with TemporaryDirectory() as folder:
        mp.spawn(_rank, (ranks, load, divided, folder), nprocs=ranks)
        found = [json.loads(Path(folder, f"{n}.json").read_text()) for n in range(ranks)]
    sent, resident = found[0]["sent"], [result["resident"] for result in found]
    digests = {result["digest"] for result in found}
    return Cost(
        ranks,
        divided,
        {phase: max(result["seconds"][phase] for result in found) for phase in PHASES},
        {phase: load.received(phase, ranks, divided) for phase in PHASES},
        None if sent is None else {phase: sent[phase] / ranks for phase in PHASES},
        load.memory_bytes(ranks, divided),
        None if None in resident else max(resident),
        digests.pop() if len(digests) == 1 else None,
    )


def _rank(rank: int, ranks: int, load: Load, divided: bool, folder: str) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=meeting, world_size=ranks, rank=rank)
    before = resident()
    kind = ShardedMemory if divided else KeyValueMemory
    memory = kind(load.slots, load.key_dim, VALUES, neighbors=load.neighbors)
    memory.load_state_dict(_full(load))
    memory.query(torch.ones(1, load.key_dim))  # so that the search has what it needs
    after = resident()
    steps = [_step(memory, load, ranks, step) for step in range(WARM_UP + load.steps)][WARM_UP:]
    result = {
        "seconds": {p: statistics.median(step[p][0] for step in steps) for p in PHASES},
        "sent": {p: statistics.median(step[p][1] for step in steps) for p in PHASES}
        if COUNTERS.exists()
        else None,
        "resident": None if before is None or after is None else after - before,
        "digest": _digest(memory),
    }
    Path(folder, f"{rank}.json").write_text(json.dumps(result))
    dist.destroy_process_group()


def _full(load: Load) -> dict[str, torch.Tensor]:
    """Return the contents of a full memory, the same on all ranks."""
    random = torch.Generator().manual_seed(1)
    state = empty_memory(load.slots, 0, VALUES)
    keys = torch.randn(load.slots, load.key_dim, generator=random)
    state["keys"] = F.normalize(keys, dim=1, out=keys)
    state["values"] = torch.arange(load.slots) % VALUES
    state["touched"] = torch.randint(1000, (load.slots,), generator=random)
    return state | {"commits": torch.tensor(1000), "layout": torch.tensor(LAYOUT)}


def _step(
    memory: KeyValueMemory, load: Load, ranks: int, step: int
) -> dict[str, tuple[float, float]]:
    """Search, learn and write; return seconds and bytes sent of each phase."""
    random = torch.Generator().manual_seed(1 + step * ranks + dist.get_rank())
    query = torch.randn(load.tokens, load.key_dim, generator=random, requires_grad=True)
    target = torch.randint(VALUES, (load.tokens,), generator=random)
    search, hits = _timed(lambda: memory.query(query))
    learn, _ = _timed(lambda: memory.loss(query, target, hits=hits).mean().backward())
    commit, _ = _timed(lambda: memory.write(query.detach(), target, hits=hits))
    return dict(zip(PHASES, (search, learn, commit), strict=True))


def _timed(work: Callable[[], Any]) -> tuple[tuple[float, float], Any]:
    """Do something on all ranks; return seconds and bytes sent by all of them, and the result."""
    dist.barrier()
    sent, begin = _loopback_bytes(), time.perf_counter()
    result = work()
    seconds = time.perf_counter() - begin
    dist.barrier()
    return (seconds, (_loopback_bytes() or 0) - (sent or 0)), result


def _loopback_bytes() -> int | None:
    """Return the bytes that all programs have sent over this machine's loopback network."""
    if not COUNTERS.exists():
        return None
    lines = (line.split() for line in COUNTERS.read_text().splitlines())
    return next((int(line[1]) for line in lines if line[:1] == ["lo:"]), None)


def _digest(memory: KeyValueMemory) -> str:
    """Return a digest of the contents: of keys, what they answer to some queries."""
    random = torch.Generator().manual_seed(0)
    hits = memory.query(torch.randn(64, memory.key_dim, generator=random))
    digest = hashlib.sha256()
    for tensor in (hits.slots, hits.similarities, memory.values, memory.ages, memory.recent):
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def costs_table(costs: Sequence[Cost]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield (
        f"{'ranks':>5}  {'memory':<10}{'phase':<8}{'received':>12}{'measured':>14}{'time':>12}"
        f"{'space':>12}{'resident':>14}{'same':>6}"
    )
    known: dict[int, str | None] = {}  # the digests by number of ranks
    for cost in costs:
        same = cost.same is not None and known.setdefault(cost.ranks, cost.same) == cost.same
        space = (_mib(cost.space), _mib(cost.resident), "yes" if same else "NO")
        for phase in PHASES:
            measured = None if cost.measured is None else cost.measured[phase]
            first = phase == PHASES[0]
            yield (
                f"{cost.ranks if first else '':>5}  "
                f"{('divided' if cost.divided else 'whole') if first else '':<10}{phase:<8}"
                f"{_mib(cost.received[phase]):>12}{_mib(measured):>14}"
                f"{1000 * cost.seconds[phase]:>9.2f} ms"
                + (f"{space[0]:>12}{space[1]:>14}{space[2]:>6}" if first else "")
            )


def _mib(count: float | None) -> str:
    return "not counted" if count is None else f"{count / 2**20:.2f} MiB"


def as_data(load: Load, costs: Sequence[Cost]) -> dict:
    """Return all numbers, for a file."""
    return {"load": asdict(load), "costs": [asdict(cost) for cost in costs]}
