"""Taking turns, ratios of pairs, and reports of benchmarks. Nothing here depends on speed."""

import argparse
import functools
import json
import os
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from fairseq_plugins.benchmarks import report as benchmark_report
from fairseq_plugins.benchmarks.duel import Apart, Contender, Duel, Effort, Stopwatch, Turn, duel
from fairseq_plugins.errors import InputError

NO_TIME = Effort(seconds=0.0, turns=4)


@pytest.fixture(autouse=True)
def _same_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What sets up a program's process must not set up that of the tests."""
    monkeypatch.setattr("fairseq_plugins.allocator.keep_freed_memory", lambda: None)


def a_duel(ours: list[float], rival: list[float]) -> Duel:
    turns = [Turn(seconds) for seconds in ours], [Turn(seconds) for seconds in rival]
    return Duel("title", "a", "b", *turns, "steps")


def noting(name: str, log: list[tuple[str, int]]) -> Contender:
    def contender(number: int) -> Turn:
        log.append((name, number))
        return Turn(1.0)

    return contender


def process_number() -> Contender:
    return lambda number: Turn(1.0, os.getpid())


def dying() -> Contender:
    return lambda number: sys.exit(3)


def test_the_ratio_is_the_median_of_pairs() -> None:
    # Both were disturbed in the second turn; sums would say that ours takes 0.54 of the time.
    assert a_duel([1.0, 50.0, 2.0], [2.0, 100.0, 1.0]).time_ratio == 0.5
    assert a_duel([1.0, 50.0, 2.0], [2.0, 100.0, 1.0]).speed_ratio == 2.0


def test_a_turn_with_more_work_may_take_longer() -> None:
    fight = Duel("title", "a", "b", [Turn(2.0, 200.0)], [Turn(1.0, 50.0)], "words")
    assert fight.time_ratio == 0.5
    assert fight.speed_ratio == 2.0


def test_contenders_take_turns_and_begin_by_turns_with_the_same_work() -> None:
    log: list[tuple[str, int]] = []
    duel("title", ("a", noting("a", log)), ("b", noting("b", log)), Effort(0.0, 2), "steps")
    warm_up, turns = log[:2], log[2:]
    assert warm_up == [("a", 0), ("b", 0)]
    assert turns == [("a", 1), ("b", 1), ("b", 2), ("a", 2)]


def test_warming_up_is_not_measured() -> None:
    found = duel("title", ("a", noting("a", [])), ("b", noting("b", [])), NO_TIME, "steps")
    assert len(found.our_turns) == len(found.rival_turns) == 4


def test_contenders_take_turns_until_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(clock)))
    effort = Effort(seconds=10.0, turns=1)
    found = duel("title", ("a", noting("a", [])), ("b", noting("b", [])), effort, "steps")
    assert len(found.our_turns) >= 4


def test_a_stopwatch_runs_while_the_block_does(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 12.5])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    with Stopwatch("cpu") as watch:
        pass
    assert watch.seconds == 2.5


@pytest.mark.usefixtures("forking")
def test_a_contender_apart_has_a_process_of_its_own_which_ends_with_its_block() -> None:
    with Apart(process_number) as contender:
        first, second = contender(1), contender(2)
    assert first.work == second.work != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(int(first.work), 0)


@pytest.mark.usefixtures("forking")
def test_a_contender_that_dies_apart_is_noticed() -> None:
    with Apart(dying) as contender, pytest.raises(RuntimeError, match="has died"):
        contender(1)


def test_the_table_has_speeds_and_ratios() -> None:
    text = benchmark_report.duels_table([a_duel([0.001], [0.002])])
    assert text.splitlines()[1].split() == [
        "title", "a", "1,000", "steps/s", "b", "500", "steps/s", "0.50x", "2.00x", "0.50-0.50",
    ]  # fmt: skip


def arguments(path: Path | None, device: str = "cpu") -> argparse.Namespace:
    return argparse.Namespace(device=device, threads=None, json=path, seconds=1.0, quick=False)


def test_a_report_keeps_every_turn_and_describes_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    benchmark_report.run(arguments(path), lambda _: [a_duel([1.0, 3.0], [2.0, 4.0])], {})
    content = json.loads(path.read_text())
    assert content["results"][0]["ours"]["seconds"] == [1.0, 3.0]
    assert content["results"][0]["time_ratio"] == 0.625
    assert content["machine"]["cores"] == os.cpu_count()
    assert content["machine"]["torch"] == torch.__version__
    assert content["settings"]["seconds"] == 1.0


def test_a_failing_benchmark_leaves_no_report(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        benchmark_report.run(arguments(tmp_path / "report.json"), lambda _: [1 // 0], {})  # type: ignore
    assert not list(tmp_path.iterdir())


def test_a_report_that_could_not_be_written_is_refused_before_measuring(tmp_path: Path) -> None:
    measure = functools.partial(pytest.fail, "measured")
    with pytest.raises(InputError, match="there is no folder"):
        benchmark_report.run(arguments(tmp_path / "missing" / "report.json"), measure, {})


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_named() -> None:
    with pytest.raises(InputError, match="finds no GPU"):
        benchmark_report.run(arguments(None, "cuda"), lambda _: [], {})


@pytest.mark.parametrize(
    ("idle", "busy"), [([7.0, 7.0], True), ([7.0, 7.0 + 1e6], False), (OSError(), True)]
)
def test_a_busy_machine_is_told(
    idle: object, busy: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(benchmark_report, "_idle_seconds", Mock(side_effect=idle))
    monkeypatch.setattr(benchmark_report, "MOMENT", 0.01)
    monkeypatch.setattr("os.getloadavg", lambda: (3.0, 0.0, 0.0))
    assert (benchmark_report.machine("cpu")["load_before"] >= 1) == busy
    assert ("Other programs are busy" in caplog.text) == busy
