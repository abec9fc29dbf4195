"""The layout of a memory's buffers: found in state dicts, upgraded, resized."""

import re
from typing import Any

import pytest
import torch
from hypothesis import given
from torch import Tensor

from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory.snapshot import load_memory
from fairseq_plugins.memory.state import (
    BUFFERS,
    LAYOUT,
    fault,
    memory_buffers,
    resized,
    upgrade,
    upgrade_memories,
)
from tests.unit.memory.states import (
    DATA,
    DIM,
    OLD_SNAPSHOT,
    Batch,
    assert_same,
    batches,
    lived,
    memories,
)


def downgraded(memory: KeyValueMemory, prefix: str = "") -> dict[str, Tensor]:
    """Return a memory's buffers as they were in the oldest layout."""
    buffers = dict(memory.named_buffers()) | {"ages": memory.ages}
    return {prefix + name: buffers[name] for name in BUFFERS[1]}


# --- Old ones -------------------------------------------------------------------------------------


def test_old_snapshot_is_loaded_with_its_ages() -> None:
    memory = load_memory(OLD_SNAPSHOT)
    filled = [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert len(memory) == 9 and memory.values[5] == -1
    assert memory.values[filled].tolist() == [5, 7, 2, 2, 1, 6, 2, 6, 6]
    assert memory.ages[filled].tolist() == [3, 2, 2, 3, 1, 1, 1, 0, 0]
    assert memory.recent.tolist() == [-1, 4, 7, -1, -1, 0, 9, 1, -1]  # 4 was in the emptied slot
    assert memory.commits == 4 and memory.layout == LAYOUT
    assert not memory.pinned.any() and (memory.origins == -1).all()
    assert not memory.keys[5].any()


def test_snapshot_without_merges_is_loaded_and_counts_from_then_on() -> None:
    memory = load_memory(DATA / "memory_layout_2.safetensors")
    assert memory.layout == LAYOUT and memory.origins.tolist() == [8, 7, -1, 8, 9, -1]
    assert memory.merges.tolist() == [0] * 6
    memory.write(memory.keys[:1].clone(), memory.values[:1])
    assert memory.merges.tolist() == [1, 0, 0, 0, 0, 0]


def test_old_state_dict_is_loaded_wherever_the_memory_is() -> None:
    memory, new = lived(), KeyValueMemory(40, 6, 9)
    model = torch.nn.ModuleDict({"layer": torch.nn.Linear(2, 2), "memory": new})
    weights = {f"layer.{name}": weight for name, weight in model["layer"].state_dict().items()}
    model.load_state_dict(weights | downgraded(memory, "memory."))
    memory.merges.zero_()  # they are not known
    assert_same(new, memory)


def test_upgrading_leaves_other_entries_and_the_tensors_alone() -> None:
    memory = lived()
    memory.forget(torch.tensor([3]))
    old = downgraded(memory, "a.b.") | {"a.keys": torch.ones(2), "ages": torch.zeros(3)}
    old["a.b.keys"][3] = 1.0  # a key that was left behind in an empty slot
    before = {name: tensor.clone() for name, tensor in old.items()}
    new = dict(old)
    upgrade_memories(new)
    assert all(torch.equal(old[name], before[name]) for name in old)
    assert new["a.keys"] is old["a.keys"] and new["ages"] is old["ages"]
    assert set(new) - {"a.keys", "ages"} == {f"a.b.{name}" for name in BUFFERS[LAYOUT]}
    other = KeyValueMemory(40, 6, 9)
    other.load_state_dict({n.removeprefix("a.b."): t for n, t in new.items() if "a.b." in n})
    memory.keys[3] = 0
    memory.merges.zero_()
    assert_same(memory, other)


def test_newest_layout_stays_as_it_is() -> None:
    state = dict(lived().state_dict())
    before = dict(state)
    upgrade(state)
    assert state.keys() == before.keys() and all(state[name] is before[name] for name in before)


# --- Sound ----------------------------------------------------------------------------------------


def broken(name: str, number: float) -> dict[str, Any]:
    """Return a memory that is sound except for one number."""
    memory = lived()
    buffer = dict(memory.named_buffers())[name]
    buffer.view(-1)[7 if buffer.dim() else 0] = number
    return dict(memory.named_buffers())


@pytest.mark.parametrize(
    ("buffers", "reason"),
    [
        (broken("keys", torch.nan), "a key is not finite"),
        (broken("keys", -torch.inf), "a key is not finite"),
        (broken("keys", 1e30), "a key is not finite"),
        (broken("keys", 3.0), "a key has length 3"),
        (broken("values", 10**6), r"values holds 1000000, which is outside \[-1, 8\]"),
        (broken("values", -5), r"values holds -5, which is outside \[-1, 8\]"),
        (broken("recent", 40), r"recent holds 40, which is outside \[-1, 39\]"),
        (broken("recent", -2), r"recent holds -2, which is outside \[-1, 39\]"),
        (broken("touched", 4), r"touched holds 4, which is outside \[0, 3\]"),
        (broken("touched", -(2**62)), r"touched holds -4611686018427387904"),
        (broken("commits", -1), r"outside \[0, -1\]"),
        (broken("layout", 4), "its layout has version 4, but this program knows 3"),
        (broken("merges", -1), r"merges holds -1, which is outside \[0, "),
        (broken("values", -1) | {"pinned": torch.ones(40, dtype=torch.bool)}, "slot is pinned"),
        (downgraded(lived()) | {"ages": torch.full((40,), -(2**62))}, "ages holds -46116860"),
        (downgraded(lived()) | {"ages": torch.full((40,), 4)}, r"outside \[0, 3\]"),
        (downgraded(lived()) | {"keys": None}, "keys is not a tensor"),
        (lived().state_dict() | {"values": [1, 2]}, "values is not a tensor"),
        (lived().state_dict() | {"values": torch.ones(40)}, r"values is \[40\] torch.float32, not"),
        (lived().state_dict() | {"keys": torch.zeros(40)}, r"keys are \[40\]"),
        (lived().state_dict() | {"touched": torch.zeros(39).long()}, r"touched is \[39\]"),
        (lived().state_dict() | {"commits": torch.zeros(1).long()}, r"commits is \[1\]"),
    ],
)
def test_what_no_memory_can_hold_is_named(buffers: dict[str, Any], reason: str) -> None:
    found = fault(buffers)
    assert found is not None and re.search(reason, found), found
    with pytest.raises(ValueError, match=reason):
        upgrade_memories({f"a.{name}": buffer for name, buffer in buffers.items()})


def test_missing_buffer_is_named() -> None:
    buffers = dict(lived().named_buffers())
    del buffers["pinned"]
    assert fault(buffers) == "pinned is missing"


@given(memories(), batches(), batches())
def test_whatever_lived_is_sound(memory: KeyValueMemory, lesson: Batch, batch: Batch) -> None:
    memory.teach(lesson.query, lesson.target, 1)
    memory.write(batch.query, batch.target)
    memory.write(torch.zeros(2, DIM), torch.tensor([1, 2]))
    assert fault(dict(memory.named_buffers())) is None
    assert fault(downgraded(memory)) is None


# --- Found ----------------------------------------------------------------------------------------


def test_memories_are_found_by_their_names() -> None:
    memory = lived()
    state = {"first." + name: buffer for name, buffer in memory.named_buffers()}
    state |= downgraded(memory, "a.second.") | dict(memory.named_buffers())
    state |= {"attention.keys": torch.zeros(2), "attention.values": torch.zeros(2)}
    found = memory_buffers(state)
    assert [names["keys"] for names in found] == ["first.keys", "a.second.keys", "keys"]
    assert list(found[0]) == list(BUFFERS[LAYOUT]) and set(found[1]) == set(BUFFERS[1])
    assert memory_buffers({"x.keys": torch.zeros(2)}) == []


# --- Resized --------------------------------------------------------------------------------------


def buffers(memory: KeyValueMemory) -> dict[str, Tensor]:
    return dict(memory.named_buffers())


def test_larger_memory_is_that_which_grew() -> None:
    memory = lived()
    memory.forget(torch.tensor([3, 30]))
    larger = resized(buffers(memory), 50)
    memory.grow(50)
    assert all(torch.equal(larger[name], buffer) for name, buffer in memory.named_buffers())


def test_smaller_memory_keeps_what_is_pinned_and_the_youngest() -> None:
    memory = KeyValueMemory(8, 3, 9, age_noise=0.0)
    memory.teach(torch.eye(3)[:2], torch.tensor([1, 2]), origin=5)
    for value in (3, 4, 5):
        memory.write(torch.randn(1, 3), torch.tensor([value]))
    memory.forget(torch.tensor([0]))
    small = resized(buffers(memory), 3)
    assert small["values"].tolist() == [2, 4, 5]
    assert small["pinned"].tolist() == [True, False, False]
    assert small["origins"].tolist() == [5, -1, -1]
    assert small["recent"].tolist() == [-1, -1, -1, -1, 1, 2, -1, -1, -1]
    with pytest.raises(ValueError, match="0 slots are too few for 1 pinned ones"):
        resized(buffers(memory), 0)
