"""Several commands at a time."""

import sys
import threading
from pathlib import Path

import pytest

from fairseq_plugins.commands import run, together
from fairseq_plugins.errors import InputError
from tests.programs import LONGEST
from tests.waiting import wait_until

SLOW = "import time; print('begun', flush=True); time.sleep(3600); print('ended')"
FAILING = "raise SystemExit(1)"


def test_results_come_in_the_order_of_the_jobs() -> None:
    second = threading.Event()
    jobs = [lambda: second.wait(LONGEST) and "first", lambda: second.set() or "second"]
    assert together(jobs, workers=2) == ["first", "second"]


@pytest.mark.parametrize("workers", [1, 2])
def test_if_one_fails_the_others_are_ended(workers: int, tmp_path: Path) -> None:
    slow, failing = tmp_path / "slow.log", tmp_path / "failing.log"

    def fail() -> None:
        if workers == 2:
            wait_until(lambda: slow.exists() and slow.read_text() == "begun\n")
        run([sys.executable, "-c", FAILING], failing, 1)

    with pytest.raises(InputError, match=r"failing\.log: .* failed"):
        together([fail, lambda: run([sys.executable, "-c", SLOW], slow, 1)], workers)
    assert workers == 1 or slow.read_text() == "begun\n"
    assert not slow.exists() or "ended" not in slow.read_text()
