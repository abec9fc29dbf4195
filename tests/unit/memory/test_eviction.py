"""Which slots a full memory forgets, and the cost of finding them."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory.eviction import noise
from tests.unit.memory.oracle import Oracle
from tests.unit.memory.states import DIM, VALUES

# --- The noise ------------------------------------------------------------------------------------


def splitmix64(number: int) -> int:
    """Return the generator as its authors wrote it, on Python's integers."""
    mask = 2**64 - 1
    number = (number + 0x9E3779B97F4A7C15) & mask
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & mask
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & mask
    return number ^ (number >> 31)


@given(st.integers(0, 2**70), st.integers(0, 2**40), st.integers(0, 2**40))
def test_noise_is_splitmix64(seed: int, commit: int, slot: int) -> None:
    assert splitmix64(0) == 0xE220A8397B1DCDAF  # the first number of its published test vector
    start = splitmix64(splitmix64(seed % 2**64) ^ commit)
    # numbers[n] = splitmix64 of start + n steps, of which the function takes one itself
    number = splitmix64((start + (slot - 1) * 0x9E3779B97F4A7C15) % 2**64)
    assert noise(torch.tensor([slot]), seed, commit).item() == (number >> 11) / 2**53


def test_noise_is_spread_evenly_and_differs_by_seed_and_commit() -> None:
    slots = torch.arange(100_000)
    draws = [noise(slots, *where) for where in ((1, 0), (1, 1), (2, 0))]
    for draw in draws:
        assert draw.min() >= 0 and draw.max() < 1
        share = torch.histc(draw, 10, 0, 1) / len(draw)
        assert (share - 0.1).abs().max() < 0.005
    correlation = np.corrcoef(torch.stack(draws).numpy()) - np.eye(3)
    assert abs(correlation).max() < 0.02


# --- The oldest -----------------------------------------------------------------------------------


@settings(max_examples=10)
@given(
    st.sampled_from([0.0, 0.5, 3.0, 20.0]),
    st.integers(0, 99),
    st.lists(st.sampled_from(["write", "write", "write", "teach", "forget", "copy"]), min_size=40),
)
def test_a_long_life_forgets_whom_the_oracle_forgets(
    age_noise: float, seed: int, life: list[str]
) -> None:
    """The oracle adds noise to all ages and sorts them; the memory keeps notes."""
    random = np.random.default_rng(seed)
    memory = KeyValueMemory(30, DIM, VALUES, 1, age_noise=age_noise, seed=seed)
    for number, deed in enumerate(life):
        count = int(random.integers(0, 9))
        query = torch.from_numpy(random.normal(size=(count, DIM))).float()
        target = torch.from_numpy(random.integers(0, VALUES, count))
        if deed == "write":
            jitter = noise(torch.arange(memory.size), seed, number).numpy()
            memory.commits.fill_(number)
            oracle = Oracle.of(memory)
            ranked = memory.query(query, neighbors=memory.size).slots.tolist()
            memory.write(query, target)
            numbers = query.double().numpy(), target.numpy()
            oracle.commit(*numbers, ranked, age_noise * (2 * jitter - 1))
            oracle.assert_same_state(memory)
        elif deed == "teach" and int(memory.pinned.sum()) < 9:
            memory.teach(query[:2], target[:2], origin=number)
        elif deed == "forget":
            memory.forget(torch.from_numpy(random.integers(0, memory.size, 3)))
        elif deed == "copy":
            memory = deepcopy(memory)  # has to make its notes anew


def test_notes_are_made_again_when_others_change_the_memory() -> None:
    memories = [KeyValueMemory(3, 2, 9, age_noise=0.0) for _ in range(2)]
    for memory, first in zip(memories, (0, 4), strict=True):
        for value in range(first, first + 4):  # the last one makes the notes
            memory.write(torch.eye(2)[[value % 2]], torch.tensor([value]))
    memory, other = memories
    other.ages = torch.tensor([2, 0, 1])
    memory.load_state_dict(other.state_dict())
    memory.write(torch.eye(2)[[0]], torch.tensor([8]))
    assert memory.values.tolist() == [8, *other.values[1:].tolist()]


# --- Its cost -------------------------------------------------------------------------------------


class Largest(TorchDispatchMode):
    """The most numbers that any operation made, or read as a whole."""

    READERS = torch.ops.aten.sum, torch.ops.aten.nonzero, torch.ops.aten.eq, torch.ops.aten.any

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        results = func(*args, **(kwargs or {}))
        made = [answer.alias_info is None for answer in func._schema.returns]  # not in place
        tensors = results if len(made) > 1 else [results]
        seen = [tensor for tensor, new in zip(tensors, made, strict=True) if new]
        if func.overloadpacket in self.READERS:
            seen.append(args[0])
        numbers = [tensor.numel() for tensor in seen if isinstance(tensor, Tensor)]
        self.numbers = max([self.numbers, *numbers])
        return results


class NoSearch:
    """Finds nothing, and follows for free."""

    def update(self, *_: object) -> None:
        pass

    def search(self, query: Tensor, k: int) -> tuple[Tensor, Tensor]:
        return query.new_full((len(query), k), -torch.inf), torch.full((len(query), k), -1)


@pytest.mark.parametrize("filled", [0.0, 0.5, 1.0])
def test_commit_costs_the_batch_and_not_the_memory(filled: float) -> None:
    size, batch = 100_000, 20
    memory = KeyValueMemory(size, 4, 7, neighbors=2, age_noise=8.0)
    memory._search = NoSearch()
    target = torch.ones(batch, dtype=torch.int64)
    for _ in range(int(filled * size) // 1000):
        memory.write(torch.randn(1000, 4), target.repeat(1000 // batch))
    memory.write(torch.randn(batch, 4), target)  # makes the notes, if the memory is full
    with Largest() as largest:
        for _ in range(50):
            query = torch.randn(batch, 4)
            report = memory.write(query, target, hits=memory.query(query))
            assert report.evicted == (batch if filled == 1 else 0)
            assert len(memory) and memory.mean_age >= 0
            if filled < 1:
                memory.forget(memory.teach(query[:1], target[:1], 1))
    # The noise reaches over 16 commits, here of 1,000 pairs each, and notes are read in blocks.
    assert largest.numbers <= (16_000 + 2 * 4096 if filled == 1 else 10 * batch)
