"""Taught pairs: pinned, forgotten explicitly, and ignored by the life-long rule."""

from copy import deepcopy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from fairseq_plugins.memory import KeyValueMemory
from tests.unit.memory.oracle import Oracle
from tests.unit.memory.states import DIM, VALUES, Batch, assert_same, batches, memories

E1, E2, E3 = torch.eye(3)


def small(size: int = 4, neighbors: int = 2) -> KeyValueMemory:
    return KeyValueMemory(size, 3, 10, neighbors, age_noise=0.0)


def teach(memory: KeyValueMemory, *pairs: tuple[Tensor, int], origin: int = 7) -> list[int]:
    query, target = zip(*pairs, strict=True)
    return memory.teach(torch.stack(query), torch.tensor(target), origin).tolist()


def assert_same_but_size(memory: KeyValueMemory, before: KeyValueMemory) -> None:
    """All buffers are as before, to the last bit, and further slots are empty."""
    expected = deepcopy(before)
    expected.grow(memory.size)
    assert_same(memory, expected)


# --- Against the oracle ---------------------------------------------------------------------------


@given(memories(), st.lists(st.tuples(st.booleans(), batches()), min_size=1, max_size=4))
def test_lessons_and_commits_are_those_of_the_oracle(
    memory: KeyValueMemory, life: list[tuple[bool, Batch]]
) -> None:
    oracle = Oracle.of(memory)
    for number, (taught, batch) in enumerate(life):
        query, target = batch.query.double().numpy(), batch.target.numpy()
        if taught:
            slots = memory.teach(batch.query, batch.target, origin=number)
            assert oracle.teach(query, target, number, memory.size) == slots.tolist()
        else:
            # Where float32 cannot tell two neighbours apart, either is the best.
            ranked = memory.query(batch.query, neighbors=memory.size).slots.tolist()
            report = memory.write(batch.query, batch.target, origin=number)
            assert oracle.commit(query, target, ranked, None, number) == report.slots.tolist()
        oracle.assert_same_state(memory)
        Oracle.of(memory).assert_answers(query, memory.query(batch.query))


@given(memories(), batches(), st.data())
def test_forgotten_slots_are_those_of_the_oracle(
    memory: KeyValueMemory, batch: Batch, data: st.DataObject
) -> None:
    memory.teach(batch.query, batch.target, origin=1)
    slots = data.draw(st.lists(st.integers(0, memory.size - 1)))
    oracle = Oracle.of(memory)
    memory.forget(torch.tensor(slots, dtype=torch.int64))
    oracle.forget(slots)
    oracle.assert_same_state(memory)
    assert len(memory) == int((memory.values >= 0).sum())


# --- Forgetting -----------------------------------------------------------------------------------


@given(memories(noise=8.0), batches())
def test_forgetting_a_lesson_leaves_no_trace(memory: KeyValueMemory, batch: Batch) -> None:
    before = deepcopy(memory)
    memory.forget(memory.teach(batch.query, batch.target, origin=3))
    assert_same_but_size(memory, before)
    assert len(memory) == len(before)


@given(memories(), st.tuples(batches(), batches(), batches()), batches())
def test_forgotten_lesson_might_never_have_been(
    memory: KeyValueMemory, lessons: tuple[Batch, Batch, Batch], asked: Batch
) -> None:
    never = deepcopy(memory)
    slots = [memory.teach(lesson.query, lesson.target, 1) for lesson in lessons]
    memory.forget(slots[1])
    for lesson in (lessons[0], lessons[2]):
        never.teach(lesson.query, lesson.target, 1)
    found, expected = memory.query(asked.query), never.query(asked.query)
    for name in ("values", "similarities", "weights"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    assert torch.equal(
        memory.loss(asked.query, asked.target), never.loss(asked.query, asked.target)
    )


@given(st.integers(1, 3), batches(), batches(), st.lists(batches(), min_size=1, max_size=3))
def test_life_goes_on_as_if_nothing_were_taught(
    neighbors: int, past: Batch, lesson: Batch, life: list[Batch]
) -> None:
    """In a memory with enough room, what is written later does not depend on lessons."""
    memory = KeyValueMemory(100, DIM, VALUES, neighbors)
    memory.write(past.query, past.target)
    untaught = deepcopy(memory)
    slots = memory.teach(lesson.query, lesson.target, 1)
    for batch in life:
        report, expected = (m.write(batch.query, batch.target) for m in (memory, untaught))
        assert report == expected
    memory.forget(slots)
    filled = [m.values >= 0 for m in (memory, untaught)]
    assert torch.equal(memory.values[filled[0]], untaught.values[filled[1]])
    assert torch.equal(memory.ages[filled[0]], untaught.ages[filled[1]])
    torch.testing.assert_close(memory.keys[filled[0]], untaught.keys[filled[1]])


def test_emptied_slots_are_filled_again_lowest_first() -> None:
    memory = small()
    memory.write(torch.stack([E1, E2, E3]), torch.tensor([1, 2, 3]))
    memory.forget(torch.tensor([2, 0, 2]))
    assert memory.values.tolist() == [-1, 2, -1, -1] and len(memory) == 1
    assert memory.recent.tolist()[1:4] == [-1, 1, -1]
    assert memory.write(torch.stack([E1, E3]), torch.tensor([4, 5])).slots.tolist() == [0, 2]


def test_pair_whose_slot_is_forgotten_before_the_commit_gets_a_new_one() -> None:
    memory = small()
    memory.write(E1[None], torch.tensor([1]))
    memory.stage(E1[None], torch.tensor([1]))
    memory.forget(torch.tensor([0]))
    assert teach(memory, (E2, 1)) == [0]
    report = memory.commit()
    assert report.merged == 0 and report.slots.tolist() == [1]
    assert torch.equal(memory.keys[:2], torch.stack([E2, E1]))


# --- Pinned ---------------------------------------------------------------------------------------


def test_taught_pair_is_remembered_as_it_is() -> None:
    memory = small()
    memory.write(E1[None], torch.tensor([1]))
    assert teach(memory, (5 * E1, 1), (E2, 2)) == [1, 2]
    assert memory.ages.tolist() == [0, 0, 0, 1]
    assert memory.pinned.tolist() == [False, True, True, False]
    assert memory.origins.tolist() == [-1, 7, 7, -1]
    assert torch.equal(memory.keys[:3], torch.stack([E1, E1, E2]))
    assert memory.recent[1] == 0 and memory.recent[2] == -1


def test_full_memory_forgets_nothing_that_was_taught() -> None:
    memory = small(size=3)
    teach(memory, (E1, 1), (E2, 2))
    report = memory.write(torch.stack([-E1, -E2]), torch.tensor([3, 4]))
    assert report.slots.tolist() == [-1, 2]  # the last one stays
    for value in range(5, 10):
        assert memory.write(E3[None], torch.tensor([value])).slots.tolist() == [2]
    assert memory.values.tolist() == [1, 2, 9]


def test_memory_full_of_lessons_writes_nothing() -> None:
    memory = small(size=2)
    teach(memory, (E1, 1), (E2, 2))
    before = deepcopy(memory)
    report = memory.write(torch.stack([E1, E3]), torch.tensor([1, 3]))
    assert (report.pairs, report.merged, report.evicted) == (2, 0, 0)
    assert report.slots.tolist() == [-1, -1]
    assert torch.equal(memory.keys, before.keys) and torch.equal(memory.values, before.values)
    assert memory.recent.tolist() == [-1] * 10


def test_what_is_taught_is_never_merged_into_but_what_is_behind_it_is() -> None:
    memory = small(size=40, neighbors=1)
    memory.write((E1 + E2)[None], torch.tensor([1]))
    slots = memory.teach(E1.repeat(30, 1), torch.ones(30, dtype=torch.int64), 7)
    report = memory.write(E1[None], torch.tensor([1]))
    assert report.merged == 1 and report.slots.tolist() == [0]
    assert torch.equal(memory.keys[slots], E1.repeat(30, 1))


def test_full_memory_grows_for_a_lesson_and_answers_on() -> None:
    memory = small(size=2)
    memory.write(torch.stack([E1, E2]), torch.tensor([1, 2]))
    assert teach(memory, (E3, 3), (-E3, 4)) == [2, 3]
    assert memory.size == 4 == len(memory) and memory.values.tolist() == [1, 2, 3, 4]
    assert memory.query(torch.stack([E1, E3])).values[:, 0].tolist() == [1, 3]
    memory.grow(50)
    assert len(memory) == 4 and memory.query(E3[None]).slots.tolist() == [[2, 0]]
    with pytest.raises(ValueError, match="a memory of 50 slots cannot grow to 49"):
        memory.grow(49)


def test_large_memory_grows_by_more_than_one_lesson() -> None:
    memory = KeyValueMemory(80, DIM, VALUES)
    memory.write(torch.randn(80, DIM), torch.zeros(80, dtype=torch.int64))
    memory.teach(torch.randn(1, DIM), torch.tensor([1]), 1)
    assert memory.size == 90


# --- Origins --------------------------------------------------------------------------------------


def test_origin_is_who_wrote_the_slot_last() -> None:
    memory = small()
    memory.write(torch.stack([E1, E2]), torch.tensor([1, 2]), origin=torch.tensor([5, 6]))
    assert memory.origins.tolist() == [5, 6, -1, -1]
    query = torch.stack([E1, E3, E1])
    report = memory.write(query, torch.tensor([1, 3, 1]), origin=torch.tensor([7, 8, 9]))
    assert report.slots.tolist() == [0, 2, 0]
    assert memory.origins.tolist() == [9, 6, 8, -1]
    assert memory.merges.tolist() == [2, 0, 0, 0]
    memory.write(E1[None], torch.tensor([1]))
    assert memory.origins.tolist() == [-1, 6, 8, -1]


def test_origin_of_a_slot_that_is_merged_into_and_evicted_is_who_evicts() -> None:
    """Both happen in one commit, and the pair that is written comes first in it."""
    memory = KeyValueMemory(1, 3, 5, neighbors=1, age_noise=0.0)
    memory.write(E1[None], torch.tensor([1]), origin=4)
    pairs = torch.stack([E2, E1]), torch.tensor([2, 1])
    memory.write(*pairs, origin=torch.tensor([5, 6]))
    assert memory.values.tolist() == [2] and memory.origins.tolist() == [5]
    assert memory.merges.tolist() == [0]


@pytest.mark.parametrize("origin", [torch.tensor([1, 2]), torch.tensor([1.0])])
def test_origins_that_do_not_fit_are_refused(origin: Tensor) -> None:
    memory = small()
    for write in (memory.write, memory.teach):
        with pytest.raises(ValueError, match="origins must be one number or"):
            write(E1[None], torch.tensor([1]), origin)
    assert len(memory) == 0 and memory.commit().pairs == 0


@pytest.mark.parametrize(
    ("query", "target", "message"),
    [
        (torch.tensor([[torch.nan, 0, 0]]), [1], "not finite"),
        (torch.ones(1, 4), [1], r"queries must be \[N, 3\]"),
        (torch.ones(1, 3), [10], r"outside \[0, 10\)"),
    ],
)
def test_bad_lessons_are_refused_before_anything_is_written(
    query: Tensor, target: list[int], message: str
) -> None:
    memory = small(size=1)
    before = deepcopy(memory)
    with pytest.raises(ValueError, match=message):
        memory.teach(query, torch.tensor(target), 1)
    assert_same(memory, before)


@pytest.mark.parametrize(
    ("slots", "message"),
    [([4], r"outside \[0, 4\)"), ([-1], r"outside \[0, 4\)"), ([[1]], "int64"), ([1.0], "int64")],
)
def test_slots_that_are_none_are_not_forgotten(slots: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small().forget(torch.tensor(slots))


def test_inference_mode_teaches() -> None:
    memory = small(size=1)
    with torch.inference_mode():
        slots = teach(memory, (E1.clone(), 1), (E2.clone(), 2))
        memory.forget(torch.tensor(slots[:1]))
    query = E2[None].clone().requires_grad_()
    memory.query(query).similarities[:, 0].sum().backward()
    assert memory.query(query).values[0, 0] == 2 and query.grad is not None
