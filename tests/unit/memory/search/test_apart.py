"""Taught slots and all others have neighbours of their own, and together they are the nearest."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory.search.taught import TaughtSlots

K = 4


def memory(others: int, lessons: int, seed: int = 1) -> KeyValueMemory:
    """Return a memory of few directions, so that there are ties."""
    generator = torch.Generator().manual_seed(seed)
    made = KeyValueMemory(8, 3, 50, neighbors=K)
    made.grow(8 + others + lessons)

    def pairs(count: int) -> tuple[Tensor, Tensor]:
        directions = torch.randint(-2, 3, (count, 3), generator=generator).float()
        directions[:, 0] += 3.5
        return directions, torch.randint(0, 50, (count,), generator=generator)

    for begin in range(max(others, lessons)):  # interleaved
        if begin < others:
            query, target = pairs(1)
            made.write(query, target)
        if begin < lessons:
            made.teach(*pairs(1), origin=begin)
    return made


def nearest(made: KeyValueMemory, query: Tensor, wanted: Tensor) -> list[list[int]]:
    """Return slots among the wanted ones by similarity, all of them; ties to the lower slot."""
    unit = torch.nn.functional.normalize(query, dim=1)
    similarities = (unit.unsqueeze(1) * made.keys).sum(-1)
    rows = []
    for row in similarities.tolist():
        slots = torch.nonzero(wanted).squeeze(1).tolist()
        rows.append(sorted(slots, key=lambda slot: (-row[slot], slot)))
    return rows


@given(st.integers(0, 12), st.integers(0, 12), st.integers(1, 1000))
def test_each_kind_has_k_neighbours_and_the_first_k_are_the_nearest(
    others: int, lessons: int, seed: int
) -> None:
    made, query = memory(others, lessons, seed), torch.randn(5, 3)
    filled = made.values >= 0
    all_slots = nearest(made, query, filled)
    of_others = nearest(made, query, filled & ~made.pinned)
    of_lessons = nearest(made, query, made.pinned)
    apart, plain = made.query_apart(query), made.query(query)
    for row in range(len(query)):
        wanted = {*of_others[row][:K], *of_lessons[row][:K]}
        found = [slot for slot in apart.slots[row].tolist() if slot >= 0]
        assert found == [slot for slot in all_slots[row] if slot in wanted]
        assert [slot for slot in plain.slots[row].tolist() if slot >= 0] == all_slots[row][:K]
    assert torch.equal(apart.slots[:, :K], plain.slots)
    assert torch.equal(apart.weights[:, :K], plain.weights) and not apart.weights[:, K:].any()


@pytest.mark.parametrize("lessons", [1, 40])
def test_lessons_push_nothing_out(lessons: int) -> None:
    made, query = memory(30, 0), torch.randn(20, 3)
    before = made.query(query)
    slots = made.teach(query.repeat(lessons, 1), torch.zeros(20 * lessons).long(), origin=1)
    apart = made.query_apart(query)
    others = ~made.pinned[apart.slots.clamp(min=0)]
    assert torch.equal(apart.slots[others].view(20, K), before.slots)
    assert torch.equal(apart.similarities[others].view(20, K), before.similarities)
    made.forget(slots)
    assert torch.equal(made.query_apart(query).slots, before.slots)


HAPPENINGS = st.lists(
    st.tuples(st.sampled_from(["teach", "write", "forget", "grow"]), st.integers(0, 30)),
    max_size=12,
)


@given(HAPPENINGS)
@settings(max_examples=20)
def test_after_any_life_lessons_are_found_as_in_a_new_memory(life: list[tuple[str, int]]) -> None:
    made, query = memory(3, 3), torch.randn(4, 3)
    for number, (happening, slot) in enumerate(life):
        directions = torch.randint(-1, 2, (2, 3)).float() + torch.eye(3)[:2]
        if happening == "teach":
            made.teach(directions, torch.tensor([1, 2]), origin=number)
        elif happening == "write":
            made.write(directions, torch.tensor([1, 2]))
        elif happening == "forget":
            made.forget(torch.arange(slot, slot + 3) % made.size)
        else:
            made.grow(made.size + 1)
        if slot % 3 == 0:
            assert_found_as_in_a_new_memory(made, query)
    assert_found_as_in_a_new_memory(made, query)


def assert_found_as_in_a_new_memory(made: KeyValueMemory, query: Tensor) -> None:
    new = KeyValueMemory(made.size, 3, 50, neighbors=K)
    new.load_state_dict(made.state_dict())
    found, expected = made.query_apart(query), new.query_apart(query)
    assert torch.equal(found.slots, expected.slots)
    assert torch.equal(found.similarities, expected.similarities)


def test_a_lesson_in_a_lower_slot_than_the_others_is_forgotten_as_well() -> None:
    made, query = memory(10, 5), torch.randn(1, 3)
    made.query_apart(query)
    made.forget(torch.tensor([0]))  # which was written, not taught
    slots = made.teach(query, torch.tensor([7]), origin=1)
    assert slots.tolist() == [0] and made.query_apart(query).slots[0, 0] == 0
    made.forget(slots)
    assert_found_as_in_a_new_memory(made, query)


def test_a_new_lesson_does_not_copy_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    made, query = memory(30, 10), torch.randn(2, 3)
    made.query_apart(query)
    monkeypatch.delattr(TaughtSlots, "_copy")
    slots = made.teach(torch.randn(9, 3), torch.arange(9), origin=1)
    made.query_apart(query)
    made.forget(slots[2:5])
    made.query_apart(query)
    made.teach(torch.randn(3, 3), torch.arange(3), origin=1)
    found = made.query_apart(query)
    monkeypatch.undo()
    made.load_state_dict(made.state_dict())
    assert torch.equal(found.slots, made.query_apart(query).slots)
