"""The benchmark of accelerators: its parts run on a CPU, and a failing part affects no other."""

import json
import time
from pathlib import Path

import pytest

from fairseq_plugins.benchmarks import accelerator
from fairseq_plugins.benchmarks.accelerator import PARTS, Scale, results_table, run_parts
from fairseq_plugins.benchmarks.programs import gpu
from tests.programs import LONGEST

TINY = Scale("cpu", quick=True)


def stuck(scale: Scale) -> dict:
    time.sleep(3600)
    return {}


def broken(scale: Scale) -> dict:
    raise ValueError("no such thing")


def test_command_line_knows_every_part() -> None:
    assert tuple(PARTS) == gpu.PARTS


@pytest.mark.usefixtures("forking")
def test_parts_that_hang_or_fail_cost_only_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    *search, _ = PARTS["search_1m_512"]
    parts = {"stuck": (stuck, (), 1.0), "broken": (broken, (), LONGEST)}
    monkeypatch.setattr(accelerator, "PARTS", parts | {"search": (*search, LONGEST)})
    output = tmp_path / "results.json"
    results = run_parts(["stuck", "broken", "search"], TINY, output)
    assert results["stuck"]["error"] == "not finished after 1 s"
    assert results["broken"]["error"] == "ValueError: no such thing"
    assert results["search"]["search_ms"] > 0
    assert json.loads(output.read_text()) == results
    assert "not finished after 1 s" in results_table(results)
