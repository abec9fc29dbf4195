"""Slots that a memory can spare, compared with the definition in plain Python."""

import pytest
import torch
import torch.nn.functional as F

from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory.thinning import spare_slots

SIZE, DIM = 60, 3


def crowded(seed: int) -> KeyValueMemory:
    """Return a memory with crowds of slots of few values, holes, merges and a few lessons."""
    torch.manual_seed(seed)
    memory = KeyValueMemory(SIZE, DIM, num_values=4, neighbors=5)
    crowd = torch.randint(5, (SIZE,))
    keys = F.normalize(torch.randn(5, DIM)[crowd] + 0.3 * torch.randn(SIZE, DIM), dim=1)
    values = torch.where(torch.rand(SIZE) < 0.9, crowd % 3, 3)
    empty = torch.rand(SIZE) < 0.1
    memory.keys.copy_(keys.masked_fill(empty.unsqueeze(1), 0))
    memory.values.copy_(values.masked_fill(empty, -1))
    memory.merges.copy_(torch.randint(3, (SIZE,)).masked_fill(empty, 0))
    memory.pinned.copy_((torch.rand(SIZE) < 0.03) & ~empty)
    return memory


def nearest(memory: KeyValueMemory, slot: int, count: int) -> list[int]:
    others = [s for s in range(memory.size) if s != slot and memory.values[s] >= 0]
    others.sort(key=lambda other: -float(memory.keys[slot] @ memory.keys[other]))
    return others[:count]


def spare_by_definition(memory: KeyValueMemory, alike: int) -> list[int]:
    near = {slot: nearest(memory, slot, alike) for slot in range(memory.size)}
    waiting = [
        slot for slot in range(memory.size)
        if memory.values[slot] >= 0 and not memory.pinned[slot] and len(near[slot]) == alike
        and all(memory.values[n] == memory.values[slot] for n in near[slot])
        and not any(memory.pinned[n] for n in near[slot])
    ]  # fmt: skip
    stay = set(range(memory.size)) - set(waiting)
    spared = []
    for slot in sorted(waiting, key=lambda slot: (-int(memory.merges[slot]), slot)):
        if stay & set(near[slot]):
            spared.append(slot)
        else:
            stay.add(slot)
    return sorted(spared)


@pytest.mark.parametrize("alike", [1, 2, 4])
@pytest.mark.parametrize("seed", range(6))
def test_spare_slots_are_those_of_the_definition(seed: int, alike: int) -> None:
    memory = crowded(seed)
    before = {name: buffer.clone() for name, buffer in memory.named_buffers()}
    found = spare_slots(memory, alike)
    assert found.tolist() == spare_by_definition(memory, alike)
    assert not memory.pinned[found].any()
    assert all(torch.equal(before[name], buffer) for name, buffer in memory.named_buffers())


def test_a_crowd_is_thinned_and_one_near_each_that_goes_stays() -> None:
    memory = crowded(1)
    memory.pinned.fill_(False)
    found = set(spare_slots(memory, 2).tolist())
    assert 5 < len(found) < len(memory)
    for slot in found:
        staying = set(nearest(memory, slot, 2)) - found
        assert any(memory.values[other] == memory.values[slot] for other in staying)


def test_a_few_equal_slots_are_not_all_dropped() -> None:
    memory = KeyValueMemory(8, DIM, num_values=2)
    memory.keys[:4], memory.values[:4] = torch.eye(DIM)[0], 1
    assert spare_slots(memory, 2).tolist() == [1, 2, 3]


@pytest.mark.parametrize("held", [0, 1, 3])
def test_nothing_is_dropped_from_a_memory_with_too_few_neighbours(held: int) -> None:
    memory = KeyValueMemory(8, DIM, num_values=2)
    memory.keys[:held], memory.values[:held] = F.normalize(torch.randn(held, DIM), dim=1), 1
    assert len(spare_slots(memory, 3)) == 0


def test_nothing_is_dropped_near_a_lesson() -> None:
    memory = KeyValueMemory(8, DIM, num_values=2)
    memory.keys[:4], memory.values[:4] = torch.eye(DIM)[0], 1
    memory.teach(torch.eye(DIM)[:1], torch.tensor([1]), origin=1)
    assert len(spare_slots(memory, 4)) == 0
    assert spare_slots(memory, 2).tolist() == [1, 2, 3]
