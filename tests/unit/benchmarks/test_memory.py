"""The full memory that benchmarks measure, and the check of its results by brute force."""

import pytest
import torch
from torch import Tensor

from fairseq_plugins.benchmarks.memory import MemorySizes, Step, check, fill
from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory.search.exact import ExactSearch

SIZES = MemorySizes(slots=300, dim=16, queries=24, neighbors=8)
SEARCH, LOSS, MERGE = ExactSearch.search, KeyValueMemory.loss, KeyValueMemory._merge_keys
SLOTS_TO_WRITE = KeyValueMemory._slots_to_write


def test_the_memory_is_full() -> None:
    memory = Step(SIZES).memory
    assert len(memory) == memory.size
    assert torch.allclose(memory.keys.norm(dim=1), torch.ones(memory.size))


def test_filling_notes_where_each_value_is() -> None:
    memory = KeyValueMemory(4, 2, 3)
    fill(memory, torch.eye(2).repeat(2, 1), torch.tensor([2, 2, 0, 0]))
    assert memory.recent.tolist()[1] == -1
    assert memory.values[memory.recent[[0, 2]]].tolist() == [0, 2]
    assert memory.ages.argmax() == 0


def test_half_of_the_queries_find_what_they_want() -> None:
    step = Step(SIZES)
    query, target = step.batch()
    found = step.memory.query(query).values[:, 0] == target
    assert found[:12].all()
    assert not found[12:].any()


def test_no_two_turns_ask_the_same() -> None:
    step = Step(SIZES)
    assert not torch.equal(step.batch()[0], step.batch()[0])


def test_a_step_writes_to_the_memory() -> None:
    step = Step(SIZES)
    before = step.memory.keys.clone()
    step.run(1)
    changed = (step.memory.keys != before).any(dim=1)
    assert int(step.memory.commits) == 1
    assert changed.sum() == SIZES.queries  # all other slots


def test_the_rival_finds_the_same_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    step = Step(SIZES)
    query, target = step.batch()
    monkeypatch.setattr(step, "batch", lambda: (query, target))
    found: list[Tensor] = []
    topk = Tensor.topk
    monkeypatch.setattr(
        Tensor, "topk", lambda self, k, dim: found.append(topk(self, k, dim)[1]) or found[-1]
    )
    step.rival(SIZES.neighbors)(1)
    monkeypatch.undo()
    assert torch.equal(found[0], step.memory.query(query).slots)


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_right_memory_passes_the_check(clustered: bool, dtype: str) -> None:
    sizes = MemorySizes(2000, 16, 24, 8, dtype, clustered)
    assert check(sizes) == []


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        (
            (ExactSearch, "search"),
            lambda self, query, k: tuple(part[:, 1:] for part in SEARCH(self, query, k + 1)),
            "not the nearest",
        ),
        (
            (ExactSearch, "search"),
            lambda self, query, k: (SEARCH(self, query, k)[0] * 1.001, SEARCH(self, query, k)[1]),
            "similarities are wrong",
        ),
        (
            (KeyValueMemory, "loss"),
            lambda self, query, target, hits: LOSS(self, query, target, hits) * 1.001,
            "loss is wrong",
        ),
        (
            (KeyValueMemory, "_merge_keys"),
            lambda self, slots, query: MERGE(self, slots, 2 * query),
            "keys after the commit",
        ),
        (
            (KeyValueMemory, "_slots_to_write"),
            lambda self, count: SLOTS_TO_WRITE(self, count + 1)[1:],
            "after the commit",
        ),
    ],
)
def test_a_wrong_memory_fails_the_check(
    monkeypatch: pytest.MonkeyPatch, name: tuple[type, str], wrong: object, message: str
) -> None:
    monkeypatch.setattr(*name, wrong)
    assert any(message in problem for problem in check(SIZES))
