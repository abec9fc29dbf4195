"""A memory that is divided among processes does what one in one process does."""

import os
import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory.collective import RankLost
from fairseq_plugins.memory.search import FEW
from fairseq_plugins.memory.search.apart import SearchApart
from fairseq_plugins.memory.sharded import ShardedMemory
from fairseq_plugins.modules.memory_options import MemoryOptions, empty_memory
from tests.ranks import Ranks, ranks
from tests.unit.memory.states import DIM, VALUES, Batch

COUNTS, LIVES = (1, 2, 4), 6


@dataclass(frozen=True)
class Life:
    """What happens to a memory: the settings, then steps."""

    settings: dict
    steps: list[tuple[str, object]]


def a_life(seed: int) -> Life:
    """Draw some steps of each kind; queries repeat each other and what is known."""
    draw = random.Random(seed)
    distinct = torch.randn(6, DIM, generator=torch.Generator().manual_seed(seed))

    def batch(most: int) -> Batch:
        rows = draw.choices(range(6), k=draw.randint(0, most))
        target = [draw.choice([row % VALUES, row % VALUES, draw.randrange(VALUES)]) for row in rows]
        return Batch(distinct[rows], torch.tensor(target, dtype=torch.int64))

    size = draw.randint(4, 12)
    happens = {
        "write": lambda: batch(12),
        "teach": lambda: batch(2),
        "forget": lambda: draw.choices(range(size), k=draw.randint(0, 3)),
    }
    steps = draw.choices(list(happens), weights=[4, 1, 1], k=6)
    settings = {
        "size": size, "key_dim": DIM, "num_values": VALUES, "neighbors": draw.choice([1, 3, 8]),
        "age_noise": draw.choice([0.0, 2.0]),
    }  # fmt: skip
    return Life(settings, [("write", batch(12)), *((step, happens[step]()) for step in steps)])


def share(batch: Batch, rank: int, count: int) -> slice:
    """Return the rows of a batch that a rank has; rank 0 has the first ones, or none."""
    edges = [len(batch.query) * i // count for i in range(count + 1)]
    return slice(edges[rank], edges[rank + 1])


def live(rank: int, count: int, life: Life, kind: type[KeyValueMemory]) -> tuple[list, list]:
    """Live a life; return what each batch was answered, and the contents after each step."""
    memory = kind(**life.settings)
    answers, contents = [], []
    for number, (step, happens) in enumerate(life.steps):
        if step == "write":
            rows = share(happens, rank, count)
            query, target = happens.query[rows].clone().requires_grad_(), happens.target[rows]
            hits = memory.query_apart(query)
            loss = memory.loss(query, target, hits=hits)
            (loss.sum() + hits.similarities.nan_to_num(neginf=0.0).sum()).backward()
            memory.write(query.detach(), target, origin=number, hits=hits)
            fields = hits.values, hits.similarities, hits.slots, hits.weights, loss, query.grad
            answers.append([part.detach() for part in fields])
        elif step == "teach":
            memory.teach(happens.query, happens.target, origin=number)
        else:
            memory.forget(torch.tensor(happens, dtype=torch.int64))
        contents.append(saved(memory))
    return answers, contents


def saved(memory: KeyValueMemory) -> dict[str, Tensor]:
    """Return a copy of the contents."""
    if isinstance(memory, ShardedMemory):
        with memory.whole():
            return {name: part.clone() for name, part in memory.state_dict().items()}
    return {name: part.clone() for name, part in memory.state_dict().items()}


@pytest.fixture(scope="module", params=COUNTS)
def processes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ranks]:
    with ranks(request.param, tmp_path_factory.mktemp("ranks")) as started:
        yield started


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ranks]:
    with ranks(2, tmp_path_factory.mktemp("two")) as started:
        yield started


def live_all(rank: int, count: int, kind: type[KeyValueMemory]) -> list[tuple[list, list]]:
    return [live(rank, count, a_life(seed), kind) for seed in range(LIVES)]


@pytest.fixture(scope="module")
def alone() -> list[tuple[list, list]]:
    """Return what one process does, which other tests compare with the oracle."""
    return live_all(0, 1, KeyValueMemory)


def test_ranks_answer_and_remember_what_one_process_would(processes: Ranks, alone: list) -> None:
    lived = processes(live_all, len(processes.own), ShardedMemory)
    for seed, ((answers, contents), *by_rank) in enumerate(zip(alone, *lived, strict=True)):
        for one, *parts in zip(answers, *(found for found, _ in by_rank), strict=True):
            *exact, gradient = map(torch.cat, zip(*parts, strict=True))
            assert all(torch.equal(a, b) for a, b in zip(exact, one, strict=False)), seed
            torch.testing.assert_close(gradient, one[-1])  # a sum in another order
        for rank, (_, found) in enumerate(by_rank):
            for here, one in zip(found, contents, strict=True):
                for name in one.keys() - ({"keys"} if rank else set()):
                    assert torch.equal(here[name], one[name]), (seed, rank, name)


def test_lives_are_eventful(alone: list) -> None:
    last = [contents[-1] for _, contents in alone]
    assert sum(int(one["merges"].sum()) for one in last) > 10
    assert sum(int(one["pinned"].sum()) for one in last) > 3
    assert any(len(one["values"]) > a_life(n).settings["size"] for n, one in enumerate(last))


def use(memory: KeyValueMemory, query: Tensor) -> list[Tensor]:
    """Search, learn and write in one process; return what was found."""
    target = torch.arange(len(query)) % memory.num_values
    found = [memory.query(query).similarities, memory.query(query[:2], neighbors=5).slots]
    memory.write(query, target)
    return [*found, memory.loss(query, target), memory.query(query).slots, *saved(memory).values()]


def use_or_serve(rank: int, state: dict[str, Tensor], query: Tensor) -> list[Tensor]:
    memory = ShardedMemory(*SHAPE, neighbors=3)
    memory.load_state_dict(state)
    found = use(memory, query) if rank == 0 else []
    memory.serve()
    return found


SHAPE = 9, DIM, VALUES


def test_ranks_that_have_nothing_to_do_answer_the_others(two: Ranks) -> None:
    memory, query = KeyValueMemory(*SHAPE, neighbors=3), torch.randn(7, DIM)
    memory.write(torch.randn(6, DIM), torch.arange(6) % VALUES)
    found, none = two(use_or_serve, saved(memory), query)
    assert none == []
    expected = use(memory, query)
    assert len(found) == len(expected)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def differ(rank: int) -> tuple[list[int], Tensor]:
    """Query as the rank is, more often, for more neighbours and with more rows; then agree."""
    memory = ShardedMemory(*SHAPE, neighbors=3)
    memory.write(torch.eye(DIM)[: 2 - rank], torch.arange(2 - rank))
    queries = [memory.query(torch.eye(DIM)[:n], neighbors=n + rank) for n in range(3 + rank)]
    memory.serve()
    return [hits.slots.shape[1] for hits in queries], memory.values


def test_ranks_may_search_for_different_things(two: Ranks) -> None:
    (of_first, values), (of_second, same) = two(differ)
    assert of_first == [0, 1, 2] and of_second == [1, 2, 3, 4]
    assert torch.equal(values, same)


def answer_approximately(rank: int) -> Tensor:
    """Write more keys to each rank than are searched exactly; return the answers."""
    random = torch.Generator().manual_seed(1)
    settings = {"search": "lsh", "recall": 1.0, "neighbors": 4}
    kind = ShardedMemory if dist.is_initialized() else KeyValueMemory
    memory = kind(2 * FEW, DIM, 2 * FEW, **settings)
    keys = torch.randn(2 * FEW, DIM, generator=random)
    mine = slice(rank * FEW, (rank + 1) * FEW) if dist.is_initialized() else slice(None)
    memory.write(keys[mine], torch.arange(2 * FEW)[mine])
    return memory.query(torch.randn(20, DIM, generator=random)).values


def test_approximate_searches_can_be_divided(two: Ranks) -> None:
    expected = answer_approximately(0)
    assert all(torch.equal(found, expected) for found in two(answer_approximately))


def die_in_a_search(rank: int) -> str:
    if rank == 1:
        SearchApart.search_others = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    memory = ShardedMemory(*SHAPE)
    try:
        memory.query(torch.ones(1, DIM))
    except RankLost as error:
        return str(error)
    return "nothing noticed"


def test_a_rank_that_dies_in_a_search_ends_the_others_with_one_line(tmp_path: Path) -> None:
    with ranks(2, tmp_path) as processes:
        processes.start(die_in_a_search)
        message = processes.result(0)
    assert message.startswith("another process of this program has ended")
    assert "\n" not in message


def test_fewer_slots_than_ranks_are_refused(two: Ranks) -> None:
    assert set(two(too_small)) == {"a memory of 1 slots is too small for 2 processes"}


def kinds(_: int) -> list[type]:
    given = [MemoryOptions(memory_size=9, memory_sharded=sharded) for sharded in (False, True)]
    return [type(empty_memory(options, VALUES)) for options in given]


def test_an_option_divides_a_memory_if_there_are_several_processes(two: Ranks) -> None:
    assert two(kinds) == [[KeyValueMemory, ShardedMemory]] * 2
    assert kinds(0) == [KeyValueMemory, KeyValueMemory]


def too_small(_: int) -> str:
    with pytest.raises(ValueError) as refused:
        ShardedMemory(1, DIM, VALUES)
    return str(refused.value)
