"""A filling that was killed goes on, and ends as if it had not been."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_plugins.checkpoints.files import read_checkpoint
from fairseq_plugins.teaching import unfinished
from fairseq_plugins.teaching.fill import FillReport
from fairseq_plugins.teaching.filled import Filling, fill_checkpoint
from tests.programs import LONGEST, SOURCE


@pytest.fixture
def filling(trained: Any) -> Filling:
    return Filling(trained.data, "train", memory_size=400, clear=True, epochs=2, max_tokens=100)


# Kills its own process when the copies so far are as many as the third argument says.
KILLED = """
import os, signal, sys
from pathlib import Path
from fairseq_plugins.teaching import unfinished
from fairseq_plugins.teaching.filled import Filling, fill_checkpoint

path, output, copies = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
unfinished.EVERY, plain, kept = 0.0, unfinished.Unfinished.keep, []

def keep(self, loaded, done):
    if len(kept) == copies:
        os.kill(os.getpid(), signal.SIGKILL)
    kept.append(plain(self, loaded, done))

unfinished.Unfinished.keep = keep
fill_checkpoint(path, output, eval(sys.argv[4], {"Filling": Filling, "PosixPath": Path}))
"""


def kill_filling(path: Path, output: Path, copies: int, filling: Filling) -> None:
    command = [sys.executable, SOURCE, KILLED, path, output, copies, filling]
    root = Path(__file__).parents[3]
    done = subprocess.run([*map(str, command)], cwd=root, timeout=LONGEST)
    assert done.returncode == -signal.SIGKILL


def test_a_killed_filling_goes_on_and_ends_as_if_it_had_not_been(
    trained: Any, filling: Filling, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, output = tmp_path / "whole.pt", tmp_path / "filled.pt"
    expected = fill_checkpoint(trained.last, whole, filling).fill
    assert isinstance(expected, FillReport) and expected.batches > 6
    kill_filling(trained.last, output, 2, filling)
    assert not output.exists() and (tmp_path / "filled.unfinished.pt").exists()
    read: list[int] = []
    plain = unfinished.Unfinished.keep
    monkeypatch.setattr(
        unfinished.Unfinished, "keep", lambda *a: read.append(a[2].batches) or plain(*a)
    )
    found = fill_checkpoint(trained.last, output, filling).fill
    assert read == list(range(3, expected.batches + 1))
    assert isinstance(found, FillReport)
    assert replace(found, seconds=0.0) == replace(expected, seconds=0.0)
    assert sorted(os.listdir(tmp_path)) == ["filled.pt", "whole.pt"]
    one, other = (read_checkpoint(path) for path in (whole, output))
    assert one.keys() == other.keys() and one["extra_state"].keys() == other["extra_state"].keys()
    assert one["cfg"] == other["cfg"]
    assert all(torch.equal(one["model"][name], other["model"][name]) for name in one["model"])


def test_another_command_starts_again(
    trained: Any,
    filling: Filling,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output, once = tmp_path / "filled.pt", replace(filling, epochs=1)
    plain = unfinished.Unfinished.keep

    def keep_and_stop(*given: Any) -> None:
        plain(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(unfinished, "EVERY", 0.0)
        patched.setattr(unfinished.Unfinished, "keep", keep_and_stop)
        with pytest.raises(KeyboardInterrupt):
            fill_checkpoint(trained.last, output, filling)
    report = fill_checkpoint(trained.last, output, once).fill
    assert "filled.unfinished.pt: is of another command, so this one starts again" in caplog.text
    whole = fill_checkpoint(trained.last, tmp_path / "whole.pt", once).fill
    assert isinstance(report, FillReport) and isinstance(whole, FillReport)
    assert report.seen == whole.seen
    assert sorted(os.listdir(tmp_path)) == ["filled.pt", "whole.pt"]
