"""A training that is killed and started again ends like one that was left alone."""

import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq.file_io import PathManager

import fairseq_plugins  # noqa: F401  (makes fairseq's copies of checkpoints atomic)
from tests.integration.learned import (
    ENVIRONMENT,
    UPDATES,
    Learned,
    checkpoint,
    fairseq,
    memory,
    program,
    training,
)

pytestmark = pytest.mark.integration


def assert_equal(one: Any, other: Any, where: str) -> None:
    """Two parts of checkpoints, bit by bit."""
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for name in one:
            assert_equal(one[name], other[name], f"{where}.{name}")
    else:
        assert one == other, where


def kill_in_the_middle(data: Path, folder: Path) -> None:
    """Start the training, and kill it without warning some updates after a checkpoint."""
    command = program("train", *training(data, folder))
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        deadline = time.monotonic() + 100
        while not list(folder.glob("checkpoint_*_100.pt")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL


def test_killed_training_ends_with_the_same_weights_and_memory(
    learned: Learned, tmp_path: Path
) -> None:
    kill_in_the_middle(learned.data, tmp_path)
    reached = checkpoint(tmp_path)["optimizer_history"][-1]["num_updates"]
    assert 100 <= reached < UPDATES

    done = fairseq("train", *training(learned.data, tmp_path))
    assert re.search(rf"Loaded checkpoint .*checkpoint_last\.pt .*@ {reached} updates",
                     done.stdout + done.stderr)  # fmt: skip
    resumed, whole = checkpoint(tmp_path), checkpoint(learned.folder)
    assert resumed["optimizer_history"][-1]["num_updates"] == UPDATES
    assert_equal(memory(resumed), memory(whole), "memory")
    assert_equal(resumed["model"], whole["model"], "model")
    assert_equal(resumed["last_optimizer_state"], whole["last_optimizer_state"], "optimizer")


def test_copy_of_a_checkpoint_that_is_cut_short_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """checkpoint_last.pt is a copy; a kill while it is written must not lose both."""

    class Killed(BaseException):
        """What comes, comes at once."""

    def half_copy(source: str, destination: str) -> None:
        Path(destination).write_bytes(Path(source).read_bytes()[:3])
        raise Killed

    new, last = tmp_path / "checkpoint_1_10.pt", tmp_path / "checkpoint_last.pt"
    new.write_bytes(b"ten updates")
    last.write_bytes(b"five updates")
    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfile", half_copy)
        with pytest.raises(Killed):
            PathManager.copy(str(new), str(last), overwrite=True)
    assert last.read_bytes() == b"five updates"
    assert PathManager.copy(str(new), str(last), overwrite=True)
    assert last.read_bytes() == b"ten updates"
    assert sorted(tmp_path.iterdir()) == [new, last]
