"""Files are written completely, wherever they are."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from fairseq_plugins.atomic import making_folder, replacing, write_json, write_text
from tests.programs import SOURCE

PROGRAM = """
from pathlib import Path
from fairseq_plugins.atomic import write_json
write_json(Path("/dev/stdout"), {"a": 1})
"""


def test_folders_are_made(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "folder" / "x.json", {"a": [1]})
    assert json.loads((tmp_path / "new" / "folder" / "x.json").read_text()) == {"a": [1]}
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["x.json"]


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "target").read_text() == "new"


def test_a_pipe_is_written_to() -> None:
    done = subprocess.run([sys.executable, SOURCE, PROGRAM], capture_output=True, check=True)
    assert json.loads(done.stdout) == {"a": 1}


def test_what_fails_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")

    def refuse(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        write_text(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@contextmanager
def little_room() -> Iterator[None]:
    """Files may have no more than so many bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def save_tensor(path: Path) -> None:
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        torch.save(torch.ones(100_000), file)


@pytest.mark.parametrize("write", [save_tensor, lambda path: write_text(path, 100_000 * "x")])
def test_where_there_is_no_room_the_file_is_named_and_nothing_left(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    with little_room(), pytest.raises(OSError, match="File too large") as refused:
        write(path)
    assert refused.value.filename == str(path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["", "."])
def test_a_folder_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IsADirectoryError, match="is a folder; name a file"):
        write_text(Path(name), "x")
    assert list(tmp_path.iterdir()) == []


def make(folder: Path, content: bytes) -> None:
    with making_folder(folder) as unfinished:
        (unfinished / "a").write_bytes(b"a")
        with (unfinished / "b").open("wb") as file:
            file.write(content)
            file.flush()


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "below" / "folder"
    with little_room(), pytest.raises(OSError, match="File too large") as refused:
        make(folder, b"b" * 100_000)
    assert not list((tmp_path / "below").iterdir())
    with little_room(), pytest.raises(OSError) as refused, making_folder(folder) as unfinished:
        save_tensor(unfinished / "b")
    assert refused.value.filename == str(folder)
    left = folder.with_name(f".folder.{2**22 + 1}-0.unfinished")  # by a process that is gone
    left.mkdir()
    (left / "a").touch()
    make(folder, b"b")
    assert list((tmp_path / "below").iterdir()) == [folder]
    assert {path.name for path in folder.iterdir()} == {"a", "b"}


HANGS = """
import sys, time
from pathlib import Path
from fairseq_plugins.atomic import replacing
with replacing(Path(sys.argv[1])) as unfinished:
    unfinished.write_text("half of it")
    print("ready", flush=True)
    time.sleep(3600)
"""


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    path, other = tmp_path / "x", tmp_path / ".x.notes"
    other.touch()
    path.write_text("old")
    with subprocess.Popen(
        [sys.executable, SOURCE, HANGS, str(path)], stdout=subprocess.PIPE, text=True
    ) as writing:
        assert writing.stdout is not None and writing.stdout.readline() == "ready\n"
        write_text(path, "meanwhile")  # what somebody is at work at is left alone
        assert len(list(tmp_path.iterdir())) == 3
        writing.send_signal(signal.SIGKILL)
    assert len(list(tmp_path.iterdir())) == 3 and path.read_text() == "meanwhile"
    write_text(path, "new")
    assert {each.name for each in tmp_path.iterdir()} == {"x", ".x.notes"}


def test_a_new_file_has_the_mode_that_the_user_wants(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        write_text(tmp_path / "x", "new")
    finally:
        os.umask(mask)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640
