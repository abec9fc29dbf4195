"""Reading Lake's runs from a folder and a zip file, and what can be wrong with them."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from fairseq_plugins.errors import InputError
from fairseq_plugins.evaluation.lake_runs import read_runs
from tests.omniglot_archives import write_lake_runs

CLASSES = 3
ORDER = [2, 1, 0]  # of the classes of the test drawings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_lake_runs(tmp_path / "all_runs", runs=2, classes=CLASSES)
    return tmp_path / "all_runs"


def zipped(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as file:
        for part in folder.rglob("*.*"):
            file.write(part, part.relative_to(folder))
    return path


def test_runs_are_read_with_their_labels(folder: Path) -> None:
    runs = read_runs(folder, 28)
    assert [run.name for run in runs] == ["run01", "run02"]
    assert runs[0].training.shape == runs[0].test.shape == (CLASSES, 28, 28)
    assert runs[0].labels.tolist() == ORDER
    assert runs[0].training.dtype == np.uint8 and runs[0].training.max() > 200  # ink


def test_a_zip_file_gives_the_same(folder: Path) -> None:
    for one, other in zip(read_runs(folder, 20), read_runs(zipped(folder), 20), strict=True):
        assert np.array_equal(one.test, other.test) and np.array_equal(one.labels, other.labels)


def test_runs_may_lie_deeper(folder: Path) -> None:
    assert len(read_runs(folder.parent, 20)) == 2


def test_classes_that_nobody_asks_for_are_shown_as_well(folder: Path) -> None:
    labels = folder / "run01/class_labels.txt"
    labels.write_text(labels.read_text().splitlines()[0])
    run = read_runs(folder, 20)[0]
    assert len(run.training) == CLASSES and run.labels.tolist() == ORDER[:1]


def test_damaged_members_of_a_zip_file_are_named(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.zip"
    name = "run01/test/item01.png"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for part in folder.rglob("*.*"):
            file.write(part, part.relative_to(folder))
        place = file.getinfo(name).header_offset
    content = bytearray(path.read_bytes())
    for offset in range(place + 30 + len(name), place + 60 + len(name)):
        content[offset] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"run01/test/item01\.png: not a readable image"):
        read_runs(path, 20)


def test_what_is_missing_or_damaged_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_runs(tmp_path / "nothing.zip", 20)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no class_labels\.txt of any run"):
        read_runs(tmp_path / "empty", 20)
    (folder / "run02/test/item02.png").write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"run02/test/item02\.png: not a readable image"):
        read_runs(folder, 20)
    (folder / "run01/training/class01.png").unlink()
    with pytest.raises(InputError, match=r"no run01/training/class01\.png, which"):
        read_runs(folder, 20)
    (folder / "run01/class_labels.txt").write_text("")
    with pytest.raises(InputError, match="run01: 0 test and 2 training drawings are no class"):
        read_runs(folder, 20)
    (folder / "run01/class_labels.txt").write_text("a b\nc\n")
    with pytest.raises(InputError, match=r"class_labels\.txt, line 2"):
        read_runs(folder, 20)
    (tmp_path / "half.zip").write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(InputError, match="damaged zip file"):
        read_runs(tmp_path / "half.zip", 20)
