"""What several ranks exchange for a memory that all of them have."""

import torch

from fairseq_plugins.benchmarks.scaling import COUNTERS, Load, measure, table
from fairseq_plugins.memory import KeyValueMemory


def test_two_ranks_end_with_the_same_memory() -> None:
    load = Load(tokens=20, key_dim=8, slots=50, steps=3)
    cost = measure(2, load)
    assert cost.identical
    assert cost.exchange > 0 and cost.commit > 0
    assert cost.received == 20 * (8 * 4 + 16)
    if COUNTERS.exists():  # other programs may talk, too
        assert cost.measured >= cost.received
    assert list(table([cost]))[1].split()[-1] == "yes"


def test_the_size_of_a_memory() -> None:
    load = Load(tokens=1, key_dim=16, slots=100, steps=1)
    memory = KeyValueMemory(100, 16, 10)
    arrays = (memory.keys, memory.values, memory.ages, memory.keys.to(torch.bfloat16))
    assert load.memory_bytes() == sum(array.nbytes for array in arrays)
