"""What several ranks exchange for a memory that they share."""

from pathlib import Path

import pytest
import torch

from fairseq_plugins.benchmarks import scaling
from fairseq_plugins.benchmarks.scaling import Cost, Load, costs_table, measure
from fairseq_plugins.memory import KeyValueMemory


@pytest.mark.usefixtures("forking")
def test_two_ranks_end_with_the_same_memory() -> None:
    load = Load(tokens=20, key_dim=8, slots=50, steps=3)
    cost = measure(2, load)
    assert cost.identical
    assert cost.exchange > 0 and cost.commit > 0
    assert cost.received == 20 * (8 * 4 + 16)
    if cost.measured is not None:  # other programs may talk, too
        assert cost.measured >= cost.received
    assert list(costs_table([cost]))[1].split()[-1] == "yes"


@pytest.mark.parametrize("content", [None, "no such device"])
def test_where_the_system_counts_no_bytes_the_table_says_so(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaling, "COUNTERS", tmp_path / "dev")
    if content:
        scaling.COUNTERS.write_text(content)
    assert scaling._loopback_bytes() is None
    cost = Cost(2, 0.1, 0.1, 0, None, True)
    assert "not counted" in list(costs_table([cost]))[1]


def test_bytes_are_those_of_the_loopback_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaling, "COUNTERS", tmp_path / "dev")
    scaling.COUNTERS.write_text("Inter-| Receive\n  eth0: 1 2 3\n    lo: 123 4 0\n")
    assert scaling._loopback_bytes() == 123


def test_the_size_of_a_memory() -> None:
    load = Load(tokens=1, key_dim=16, slots=100, steps=1)
    memory = KeyValueMemory(100, 16, 10)
    arrays = (memory.keys, memory.values, memory.ages, memory.keys.to(torch.bfloat16))
    assert load.memory_bytes() == sum(array.nbytes for array in arrays)
