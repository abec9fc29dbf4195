"""A memory that is divided among processes does what one in one process does."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory.sharded import ShardedMemory
from tests.ranks import Ranks, ranks
from tests.unit.memory.states import DIM, VALUES, Batch, batches

COUNTS = (1, 2, 4)


@dataclass(frozen=True)
class Life:
    """What happens to a memory: the settings, then steps."""

    settings: dict
    steps: list[tuple[str, object]]


@st.composite
def lives(draw: st.DrawFn) -> Life:
    """Return some steps of each kind; queries repeat each other and what is known."""
    size = draw(st.integers(4, 12))
    settings = {
        "size": size, "key_dim": DIM, "num_values": VALUES,
        "neighbors": draw(st.sampled_from([1, 3, 8])),
        "age_noise": draw(st.sampled_from([0.0, 2.0])),
    }  # fmt: skip
    step = st.one_of(
        st.tuples(st.just("write"), batches()),
        st.tuples(st.just("write"), batches()),
        st.tuples(st.just("teach"), batches(max_rows=2)),
        st.tuples(st.just("forget"), st.lists(st.integers(0, size - 1), max_size=3)),
    )
    return Life(settings, draw(st.lists(step, min_size=1, max_size=5)))


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
def processes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    with ranks(request.param, tmp_path_factory.mktemp("ranks")) as started:
        yield started


@settings(max_examples=30)
@given(life=lives())
def test_ranks_answer_and_remember_what_one_process_would(processes: Ranks, life: Life) -> None:
    """Which :mod:`.test_key_value_memory` compares with the oracle."""
    answers, contents = live(0, 1, life, KeyValueMemory)
    lived = processes(live, len(processes.own), life, ShardedMemory)
    for one, *parts in zip(answers, *(found for found, _ in lived), strict=True):
        *exact, gradient = map(torch.cat, zip(*parts, strict=True))
        assert all(torch.equal(a, b) for a, b in zip(exact, one, strict=False))
        torch.testing.assert_close(gradient, one[-1])  # a sum in another order
    for rank, (_, found) in enumerate(lived):
        for step, one in enumerate(contents):
            for name in one.keys() - ({"keys"} if rank else set()):
                assert torch.equal(found[step][name], one[name]), (rank, step, name)
