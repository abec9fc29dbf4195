"""Work in several processes: in order, never far ahead, with no process left behind."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_prep.core.processes import in_parallel
from data_prep.core.program import DataError
from tests.waiting import wait_until


def killed(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_is_told_in_a_line() -> None:
    with pytest.raises(DataError, match="a process was killed, perhaps for lack of memory"):
        list(in_parallel(killed, [1, 2], workers=2))


PROGRAM = """
import fcntl, os, sys, time
from data_prep.core.processes import in_parallel

def work(number):
    os.write(1, b"begun\\n")  # at once: two processes write to the same pipe
    time.sleep(3600)

lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
list(in_parallel(work, range(10), workers=2))
"""


def can_lock(path: Path) -> bool:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_program_leaves_no_process_that_holds_its_lock(tmp_path: Path, how: int) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", PROGRAM, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as program:
        try:
            assert program.stdout is not None
            assert [program.stdout.readline() for _ in range(2)] == [b"begun\n"] * 2
        finally:
            program.send_signal(how)  # leaving the context waits for it
        program.wait()
        wait_until(lambda: can_lock(path))


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
