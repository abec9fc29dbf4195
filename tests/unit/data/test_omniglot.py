"""Prepared drawings are loaded completely, or rejected with a remedy."""

import json
from pathlib import Path

import numpy as np
import pytest

from fairseq_plugins.data.omniglot import load_images, load_part
from fairseq_plugins.errors import InputError

SIZE, CHARACTERS = 20, 3
NAMES = [f"character{number:02}" for number in range(CHARACTERS)]
SPLIT = {"parts": {"train": [f"Greek/{name}" for name in NAMES]}, "turns": {"train": [0, 90]}}


def write(folder: Path, names: list[str] = NAMES, splits: object = None) -> Path:
    images = np.random.default_rng(1).integers(256, size=(CHARACTERS, 4, SIZE, SIZE))
    np.savez_compressed(
        folder / f"omniglot_{SIZE}.npz",
        images=images.astype(np.uint8), alphabets=["Greek"] * CHARACTERS, characters=names,
    )  # fmt: skip
    (folder / "splits.json").write_text(json.dumps({"one": SPLIT} if splits is None else splits))
    return folder


def test_turned_characters_are_further_classes(tmp_path: Path) -> None:
    images = load_part(write(tmp_path), SIZE, "one", "train")
    assert len(images) == 2 * CHARACTERS and images.names[-1] == "Greek/character02@90"


def test_damaged_drawings_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path) / f"omniglot_{SIZE}.npz"
    whole = path.read_bytes()
    damages = [whole[: len(whole) // 2], b"", b"nonsense", whole[:80] + bytes(60) + whole[140:]]
    for damage in damages:
        path.write_bytes(damage)
        with pytest.raises(InputError, match=r"omniglot_20\.npz: damaged"):
            load_images(tmp_path, SIZE)
    write(tmp_path, NAMES[:2])
    with pytest.raises(InputError, match=r"omniglot_20\.npz: damaged"):
        load_images(tmp_path, SIZE)


@pytest.mark.parametrize("splits", [None, [], {"one": {}}, {"one": []}, {"one": {"parts": {}}}])
def test_damaged_splits_are_refused(tmp_path: Path, splits: object) -> None:
    write(tmp_path, splits=splits)
    (tmp_path / "splits.json").write_text(json.dumps(splits))
    with pytest.raises(InputError, match=r"splits\.json: damaged"):
        load_part(tmp_path, SIZE, "one", "train")


def test_an_episode_needs_something(tmp_path: Path) -> None:
    images = load_images(write(tmp_path), SIZE)
    for classes, drawings in ((0, 1), (1, 0), (-1, 1)):
        with pytest.raises(InputError, match="do not make an episode; use at least one of each"):
            images.require(classes, drawings)
