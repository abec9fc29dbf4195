"""fairseq's checkpoints are complete, or do not exist."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fairseq import checkpoint_utils
from fairseq.file_io import PathManager

import fairseq_plugins  # noqa: F401  (applies the patches)
from fairseq_plugins.errors import InputError


def save(folder: Path) -> None:
    checkpoint_utils.torch_persistent_save({"a": torch.ones(10_000)}, str(folder / "c.pt"))


def copy(folder: Path) -> None:
    (folder / "source.pt").write_bytes(bytes(100_000))
    PathManager.copy(str(folder / "source.pt"), str(folder / "c.pt"), overwrite=True)


@pytest.mark.parametrize("write", [save, copy])
def test_a_file_is_whole(tmp_path: Path, write: Callable[[Path], None]) -> None:
    (tmp_path / "c.pt").write_bytes(b"old")
    write(tmp_path)
    assert (tmp_path / "c.pt").stat().st_size > 10_000
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("write", [save, copy])
def test_a_full_disk_is_one_line_and_leaves_what_was_there(
    tmp_path: Path,
    write: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "c.pt").write_bytes(b"old")

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("fairseq_plugins.atomic.os.replace", refuse)
    with pytest.raises(InputError, match=r"c\.pt: cannot be written \(No space left") as caught:
        write(tmp_path)
    assert "\n" not in str(caught.value) and not caplog.records
    assert (tmp_path / "c.pt").read_bytes() == b"old"
    assert not list(tmp_path.glob(".*"))
