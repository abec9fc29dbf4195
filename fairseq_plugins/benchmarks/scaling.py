"""The cost of a memory that is the same on all ranks: exchange, commit, space."""

import hashlib
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F

from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory.collective import gather_rows

VALUES = 32_000  # words of a vocabulary
NUMBER_BYTES, INDEX_BYTES = 4, 8  # of a number in a key; of a target, and of the slot to merge into
WARM_UP = 2  # steps
COUNTERS = Path("/proc/net/dev")  # on Linux


@dataclass(frozen=True)
class Load:
    """The work of a step.

    Attributes:
        tokens: number of tokens of each rank.
        key_dim: D, the width of keys.
        slots: S, the number of slots.
        steps: number of steps to measure.
    """

    tokens: int
    key_dim: int
    slots: int
    steps: int

    def received(self, ranks: int) -> int:
        """Return the bytes that each rank receives from the others in a commit."""
        row = self.key_dim * NUMBER_BYTES + 2 * INDEX_BYTES
        return (ranks - 1) * self.tokens * row

    def memory_bytes(self) -> int:
        """Return the bytes of keys, values and ages, without the search's copy of the keys."""
        return self.slots * (self.key_dim * (NUMBER_BYTES + NUMBER_BYTES // 2) + 2 * INDEX_BYTES)


@dataclass(frozen=True)
class Cost:
    """The cost of one step, as medians over steps.

    Attributes:
        ranks: number of ranks.
        exchange: seconds to gather all ranks' pairs.
        commit: seconds of a commit, including the exchange.
        received: bytes for each rank, computed.
        measured: bytes sent over the loopback network per rank, including everything; None if the
            system does not count them.
        identical: whether all ranks have the same memory in the end.
    """

    ranks: int
    exchange: float
    commit: float
    received: int
    measured: float | None
    identical: bool


def measure(ranks: int, load: Load) -> Cost:
    """Let processes with one thread each share one memory, through gloo."""
    with TemporaryDirectory() as folder:
        mp.spawn(_rank, (ranks, load, folder), nprocs=ranks)
        found = [json.loads(Path(folder, f"{n}.json").read_text()) for n in range(ranks)]
    return Cost(
        ranks,
        max(result["exchange"] for result in found),
        max(result["commit"] for result in found),
        load.received(ranks),
        None if found[0]["sent"] is None else found[0]["sent"] / ranks,
        len({result["digest"] for result in found}) == 1,
    )


def _rank(rank: int, ranks: int, load: Load, folder: str) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meeting"
    dist.init_process_group("gloo", init_method=meeting, world_size=ranks, rank=rank)
    memory = KeyValueMemory(load.slots, load.key_dim, VALUES, neighbors=32)
    random = torch.Generator().manual_seed(rank)
    exchange, commit = [], []
    for _ in range(WARM_UP + load.steps):
        query = F.normalize(torch.randn(load.tokens, load.key_dim, generator=random), dim=1)
        target = torch.randint(VALUES, (load.tokens,), generator=random)
        memory.stage(query, target, force=True)
        dist.barrier()
        begin = time.perf_counter()
        gather_rows(query, target, target)
        exchange.append(time.perf_counter() - begin)
        dist.barrier()
        begin = time.perf_counter()
        memory.commit()
        commit.append(time.perf_counter() - begin)
    dist.barrier()
    before = _loopback_bytes()
    for _ in range(load.steps):
        gather_rows(query, target, target)
    dist.barrier()
    after = _loopback_bytes()
    result = {
        "sent": None if before is None or after is None else (after - before) / load.steps,
        "exchange": statistics.median(exchange[WARM_UP:]),
        "commit": statistics.median(commit[WARM_UP:]),
        "digest": _digest([memory.keys, memory.values, memory.ages]),
    }
    Path(folder, f"{rank}.json").write_text(json.dumps(result))
    dist.destroy_process_group()


def _loopback_bytes() -> int | None:
    """Return the bytes that all programs have sent over this machine's loopback network."""
    if not COUNTERS.exists():
        return None
    lines = (line.split() for line in COUNTERS.read_text().splitlines())
    return next((int(line[1]) for line in lines if line[:1] == ["lo:"]), None)


def _digest(tensors: Sequence[torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def costs_table(costs: Sequence[Cost]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield (
        f"{'ranks':>5}{'received':>14}{'measured':>14}{'exchange':>12}{'commit':>12}"
        f"{'memories identical':>20}"
    )
    for cost in costs:
        yield (
            f"{cost.ranks:>5}{_mib(cost.received):>14}{_mib(cost.measured):>14}"
            f"{1000 * cost.exchange:>9.2f} ms{1000 * cost.commit:>9.2f} ms"
            f"{'yes' if cost.identical else 'NO':>20}"
        )


def _mib(count: float | None) -> str:
    return "not counted" if count is None else f"{count / 2**20:.2f} MiB"


def as_data(load: Load, costs: Sequence[Cost]) -> dict:
    """Return all numbers, for a file."""
    return {"load": asdict(load), "costs": [asdict(cost) for cost in costs]}
