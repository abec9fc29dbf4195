"""What several ranks exchange for a memory that they share."""

from pathlib import Path

import pytest
import torch

from fairseq_plugins.benchmarks import scaling
from fairseq_plugins.benchmarks.scaling import PHASES, Cost, Load, costs_table, measure
from fairseq_plugins.memory import KeyValueMemory


@pytest.mark.usefixtures("forking")
def test_a_memory_of_two_ranks_costs_what_is_computed_whole_and_divided() -> None:
    load = Load(tokens=200, key_dim=16, slots=500, steps=1, neighbors=4)
    whole, divided = (measure(2, load, way) for way in (False, True))
    assert whole.same is not None and whole.same == divided.same
    assert whole.received == {"search": 0, "learn": 0, "commit": 200 * (16 * 4 + 24)}
    searched = 200 * (16 * 4 + 4 * 8)
    assert divided.received == {
        "search": searched, "learn": 200 * 2 * (16 * 4 + 12), "commit": whole.received["commit"]
    }  # fmt: skip
    assert divided.space < whole.space
    for cost in (whole, divided):
        assert all(seconds > 0 for seconds in cost.seconds.values())
        if cost.measured is not None:  # other programs may talk, too
            assert all(cost.measured[phase] >= cost.received[phase] for phase in PHASES)
    lines = list(costs_table([whole, divided]))
    assert len(lines) == 1 + 2 * len(PHASES)
    assert lines[1].split()[-1] == lines[4].split()[-1] == "yes"


@pytest.mark.parametrize("content", [None, "no such device"])
def test_where_the_system_counts_no_bytes_the_table_says_so(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaling, "COUNTERS", tmp_path / "dev")
    if content:
        scaling.COUNTERS.write_text(content)
    assert scaling._loopback_bytes() is None
    numbers = dict.fromkeys(PHASES, 1)
    cost = Cost(2, False, numbers, numbers, None, 1, None, None)
    line = list(costs_table([cost]))[1]
    assert "not counted" in line and line.split()[-1] == "NO"


def test_bytes_are_those_of_the_loopback_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaling, "COUNTERS", tmp_path / "dev")
    scaling.COUNTERS.write_text("Inter-| Receive\n  eth0: 1 2 3\n    lo: 123 4 0\n")
    assert scaling._loopback_bytes() == 123


def test_the_size_of_a_memory() -> None:
    load = Load(tokens=1, key_dim=16, slots=100, steps=1)
    memory = KeyValueMemory(100, 16, 10)
    rows = [buffer for buffer in memory.buffers() if buffer.shape[:1] == (100,)]
    keys = memory.keys.to(torch.bfloat16)
    assert load.memory_bytes(1, True) == keys.nbytes + sum(array.nbytes for array in rows)
    assert load.memory_bytes(1, True) - load.memory_bytes(2, True) == 50 * 16 * 6
