"""Work in several processes: in order, never far ahead, with no process left behind."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from data_prep.core.processes import in_parallel
from data_prep.core.program import DataError


def killed(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_is_told_in_a_line() -> None:
    with pytest.raises(DataError, match="a process was killed, perhaps for lack of memory"):
        list(in_parallel(killed, [1, 2], workers=2))


PROGRAM = """
import fcntl, sys, time
from data_prep.core.processes import in_parallel

lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("locked", flush=True)
list(in_parallel(time.sleep, [0.01] * 10_000, workers=2))
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_program_leaves_no_process_that_holds_its_lock(tmp_path: Path, how: int) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", PROGRAM, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None and program.stdout.readline() == b"locked\n"
        time.sleep(0.5)  # processes are at work
        program.send_signal(how)
        program.wait()
        with path.open("w") as lock:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                with suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return
                time.sleep(0.05)
    pytest.fail("the lock is held still")


def test_processes_never_read_far_ahead() -> None:
    read = []

    def numbers() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            yield number

    results = in_parallel(abs, numbers(), workers=2)
    assert next(results) == 0
    assert len(read) < 10
    assert list(results) == list(range(1, 100))
