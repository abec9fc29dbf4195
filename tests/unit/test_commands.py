"""Several commands at a time."""

import sys
import time
from pathlib import Path

import pytest

from fairseq_plugins.commands import run, together
from fairseq_plugins.errors import InputError

SLOW, FAILING = "import time; time.sleep(60)", "raise SystemExit(1)"


def test_results_come_in_the_order_of_the_jobs() -> None:
    def job(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    assert together([lambda: job(0.2), lambda: job(0.0)], workers=2) == [0.2, 0.0]


@pytest.mark.parametrize("workers", [1, 2])
def test_if_one_fails_the_others_are_ended(workers: int, tmp_path: Path) -> None:
    begin = time.perf_counter()
    jobs = [
        lambda code=code: run([sys.executable, "-c", code], tmp_path / f"{len(code)}.log", 1)
        for code in (FAILING, SLOW)
    ]
    with pytest.raises(InputError, match=f"{len(FAILING)}.log: .* failed"):
        together(jobs, workers)
    assert time.perf_counter() - begin < 30
