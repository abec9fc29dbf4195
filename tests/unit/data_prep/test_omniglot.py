"""Reading Omniglot's archives, and everything that can be wrong with them."""

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from data_prep import omniglot
from data_prep.core.program import DataError
from data_prep.drawings.images import DRAWERS
from data_prep.drawings.splits import ALL_TURNS, alphabet, make_splits
from tests import omniglot_archives as archives

SIZE = 14


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archives.write_archives(tmp_path_factory.mktemp("official"))


@pytest.fixture(autouse=True)
def expect_small_archives(monkeypatch: pytest.MonkeyPatch) -> None:
    archives.small(monkeypatch)


def spoiled(official: Path, folder: Path, change: dict[str, bytes | None]) -> Path:
    """Return the archives, with members of the first one changed, added or (None) left out."""
    folder.mkdir()
    files = archives.members("images_background", archives.BACKGROUND) | change
    kept = {name: content for name, content in files.items() if content is not None}
    archives.write_zip(folder / "images_background.zip", kept)
    (folder / "images_evaluation.zip").symlink_to(official / "images_evaluation.zip")
    return folder


FIRST = "images_background/Greek/character01/17001_01.png"


def test_all_drawings_are_read_in_order(official: Path, tmp_path: Path) -> None:
    archives.prepare(official, tmp_path / "out", SIZE)
    with np.load(tmp_path / "out" / f"omniglot_{SIZE}.npz") as file:
        assert file["images"].shape == (48, DRAWERS, SIZE, SIZE)
        assert file["images"].dtype == np.uint8
        assert file["drawers"].tolist() == list(range(1, 21))
        names = [f"{a}/{c}" for a, c in zip(file["alphabets"], file["characters"], strict=True)]
    assert names[:2] == ["Braille/character01", "Braille/character02"]
    assert names == sorted(names[:36]) + sorted(names[36:])


def test_ink_is_255_and_paper_0(official: Path, tmp_path: Path) -> None:
    archives.prepare(official, tmp_path / "out", 105)
    with np.load(tmp_path / "out" / "omniglot_105.npz") as file:
        assert set(np.unique(file["images"])) == {0, 255}
        assert 0 < file["images"].mean() < 64  # a drawing is mostly paper


def test_folders_give_the_same_as_archives(official: Path, tmp_path: Path) -> None:
    for archive in archives.ARCHIVES:
        with zipfile.ZipFile(official / f"{archive.name}.zip") as file:
            file.extractall(tmp_path / "unpacked")
    archives.prepare(official, tmp_path / "a", SIZE)
    archives.prepare(tmp_path / "unpacked", tmp_path / "b", SIZE)
    with (
        np.load(tmp_path / f"a/omniglot_{SIZE}.npz") as a,
        np.load(tmp_path / f"b/omniglot_{SIZE}.npz") as b,
    ):
        assert np.array_equal(a["images"], b["images"])
    assert (tmp_path / "a/splits.json").read_bytes() == (tmp_path / "b/splits.json").read_bytes()


def test_no_character_is_in_two_parts_of_a_split(official: Path, tmp_path: Path) -> None:
    archives.prepare(official, tmp_path / "out", SIZE)
    splits = json.loads((tmp_path / "out" / "splits.json").read_text())
    assert set(splits) == {"background-evaluation", "background-validated", "vinyals", "validated"}
    for split in splits.values():
        names = [name for part in split["parts"].values() for name in part]
        assert len(names) == len(set(names)) == 48


def test_splits_are_as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the sizes are those of the whole set
    background = [f"A{n % 30:02}/character{n // 30:02}" for n in range(964)]
    evaluation = [f"B{n % 20:02}/character{n // 20:02}" for n in range(659)]
    splits = make_splits(background, evaluation, seed=1)
    sizes = {
        name: {part: len(names) for part, names in split["parts"].items()}
        for name, split in splits.items()
    }
    assert sizes["background-evaluation"] == {"train": 964, "test": 659}
    assert splits["background-evaluation"]["turns"] == {"train": list(ALL_TURNS), "test": [0]}
    assert sizes["vinyals"] == {"train": 1200, "test": 423}
    assert sizes["validated"] == {"train": 1028, "valid": 172, "test": 423}
    for one, other in (("vinyals", "validated"), ("background-evaluation", "background-validated")):
        assert set(splits[one]["parts"]["test"]) == set(splits[other]["parts"]["test"])
    parts = splits["background-validated"]["parts"]
    assert not {alphabet(name) for name in parts["train"]} & {
        alphabet(name) for name in parts["valid"]
    }


def test_the_seed_decides_the_random_splits() -> None:
    names = [f"A/character{n}" for n in range(60)]
    first, again, other = (make_splits(names, ["B/character1"], seed) for seed in (1, 1, 2))
    assert first == again
    assert first["vinyals"]["parts"] != other["vinyals"]["parts"]
    assert first["background-evaluation"] == other["background-evaluation"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({FIRST: b"not a png"}, "character01.*not a readable PNG image"),
        ({FIRST: archives.drawing(1, 1)[:100]}, "character01.*not a readable PNG image"),
        ({FIRST: None}, "Greek/character01 has 19 drawings, not one by each of 20"),
        ({"images_background/../../evil.png": b""}, "unsafe path"),
        ({"/images_background/evil.png": b""}, "unsafe path"),
        ({"images_background/Greek/character01/9_21.png": bytes(2 << 20)}, "2,097,152 bytes"),
        (
            dict.fromkeys(
                (n for n in archives.members("images_background", {"Greek": 6})), None
            ),
            "5 alphabets with 30 characters, but images_background has 6 with 36",
        ),
    ],
)  # fmt: skip
def test_bad_archives_are_refused(
    official: Path, tmp_path: Path, change: dict, message: str
) -> None:
    source = spoiled(official, tmp_path / "source", change)
    with pytest.raises(DataError, match=message) as error:
        archives.prepare(source, tmp_path / "out", SIZE)
    assert "images_background.zip" in str(error.value) and "\n" not in str(error.value)
    assert sorted(os.listdir(tmp_path / "out")) in ([], [".lock"], [".lock", "manifest.json"])


def test_a_truncated_archive_is_refused(official: Path, tmp_path: Path) -> None:
    whole = (official / "images_background.zip").read_bytes()
    (tmp_path / "images_background.zip").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "images_evaluation.zip").symlink_to(official / "images_evaluation.zip")
    with pytest.raises(DataError, match="damaged zip file"):
        archives.prepare(tmp_path, tmp_path / "out", SIZE)


def test_one_archive_is_not_taken_for_both(official: Path, tmp_path: Path) -> None:
    for source in ("images_background.zip", "images_evaluation.zip"):
        with pytest.raises(DataError, match="give the folder with both archives"):
            archives.prepare(official / source, tmp_path / "out", SIZE)


def test_missing_archives_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"images_background\.zip: no such file"):
        archives.prepare(tmp_path, tmp_path / "out", SIZE)


@pytest.mark.parametrize("sizes", ["0", "106", "large"])
def test_impossible_sizes_are_refused(official: Path, tmp_path: Path, sizes: str) -> None:
    with pytest.raises(DataError, match="not a number of pixels from 1 to 105"):
        omniglot.main(
            omniglot.parse_arguments(
                ["--source", str(official), "--out", str(tmp_path), "--sizes", sizes]
            )
        )


def test_a_second_run_does_nothing(official: Path, tmp_path: Path) -> None:
    archives.prepare(official, tmp_path / "out", SIZE)
    images = tmp_path / "out" / f"omniglot_{SIZE}.npz"
    before = images.stat().st_mtime_ns
    archives.prepare(official, tmp_path / "out", SIZE)
    assert images.stat().st_mtime_ns == before
