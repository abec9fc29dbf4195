"""Snapshots whose writing is interrupted: the old file stays."""

import errno
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from fairseq_plugins import atomic
from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory.snapshot import SnapshotError, load_memory, save_memory
from tests.unit.memory.alone import start_alone
from tests.unit.memory.states import assert_same, lived, only_file


@pytest.mark.parametrize(
    "step", ["memory.snapshot.save_file", "atomic._flush", "atomic.os.replace"]
)
def test_full_disk_leaves_the_old_file(
    saved: tuple[KeyValueMemory, Path], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    old, path = saved

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"fairseq_plugins.{step}", full)
        with pytest.raises(
            SnapshotError, match=f"{re.escape(str(path))}: No space left on device; .* unchanged"
        ):
            save_memory(lived(), path)
    assert_same(load_memory(path), old)
    assert only_file(path.parent) == path.name


def test_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "memory.safetensors"
    with pytest.raises(SnapshotError, match=f"cannot write the memory to {re.escape(str(path))}: "):
        save_memory(lived(), path)


def test_interruption_leaves_the_old_file(
    saved: tuple[KeyValueMemory, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, path = saved

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "_flush", interrupt)
        with pytest.raises(KeyboardInterrupt):
            save_memory(lived(), path)
    assert_same(load_memory(path), old)
    assert only_file(path.parent) == path.name


SAVE_FOR_EVER = """
memory = KeyValueMemory(50_000, 32, 9)
for number in itertools.count():
    memory.origins.fill_(number)
    snapshot.save_memory(memory, sys.argv[1])
    print(number, flush=True)
"""

STOP_BEFORE_REPLACING = """
memory = KeyValueMemory(50_000, 32, 9)
snapshot.save_memory(memory, sys.argv[1])
memory.origins.fill_(1)
atomic._flush = lambda path: (print(0, flush=True), time.sleep(3600))
snapshot.save_memory(memory, sys.argv[1])
"""


def kill(saving: subprocess.Popen[str]) -> int:
    """End a program at once, and return the number of the last save that it finished."""
    assert saving.stdout is not None
    os.kill(saving.pid, signal.SIGKILL)
    numbers = [int(line) for line in saving.stdout]
    assert saving.wait() == -signal.SIGKILL
    return max(numbers, default=-1)


def test_kill_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    """The program saves without pause, so the signal interrupts a save."""
    path = tmp_path / "memory.safetensors"
    with start_alone(SAVE_FOR_EVER, path) as saving:
        assert saving.stdout is not None
        seen = [int(saving.stdout.readline()) for _ in range(5)]
        done = max(kill(saving), *seen)
    memory = load_memory(path)
    number = int(memory.origins[0])
    assert number in (done, done + 1)
    assert (memory.origins == number).all()


def test_kill_just_before_the_file_is_replaced_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "memory.safetensors"
    with start_alone(STOP_BEFORE_REPLACING, path) as saving:
        assert saving.stdout is not None and saving.stdout.readline() == "0\n"
        kill(saving)
    assert len(list(tmp_path.iterdir())) == 2  # what was being written is there, under its own name
    assert (load_memory(path).origins == -1).all()
    save_memory(KeyValueMemory(1, 1, 1), path)  # and is in nobody's way
    assert load_memory(path).size == 1
    assert only_file(tmp_path) == path.name
