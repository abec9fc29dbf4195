"""Files are written whole, wherever they are wanted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fairseq_plugins.program import write_json, write_text

PROGRAM = """
from pathlib import Path
from fairseq_plugins.program import write_json
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
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)
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
