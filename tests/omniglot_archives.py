"""Small archives in Omniglot's official layout, with distinguishable characters."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from data_prep import omniglot
from data_prep.drawings import splits as omniglot_splits
from data_prep.drawings.images import DRAWERS, SIDE, Archive
from tests.tiny_training import made_once

STROKES, POINTS = 3, 3
SIZES = 20, 28  # of prepared drawings
BACKGROUND = {"Greek": 6, "Latin": 6, "Runes": 6, "Braille": 6, "Ogham": 6, "Tifinagh": 6}
EVALUATION = {"Glagolitic": 6, "Tengwar": 6}


def archive(name: str, alphabets: dict[str, int]) -> Archive:
    """Return what :mod:`data_prep.drawings.images` has to know of such an archive."""
    return Archive(name, "0" * 32, len(alphabets), sum(alphabets.values()))


ARCHIVES = (archive("images_background", BACKGROUND), archive("images_evaluation", EVALUATION))


def drawing(seed: int, drawer: int) -> bytes:
    """Return a PNG file: the strokes of a character, with the drawer's unsteadiness."""
    strokes = np.random.default_rng(seed).uniform(15, 90, (STROKES, POINTS, 2))
    strokes += np.random.default_rng((seed, drawer)).normal(0, 2, strokes.shape)
    image = Image.new("1", (SIDE, SIDE), 1)
    pen = ImageDraw.Draw(image)
    for stroke in strokes:
        pen.line([tuple(point) for point in stroke], fill=0, width=3)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def members(name: str, alphabets: dict[str, int]) -> dict[str, bytes]:
    """Return the PNG files by their paths in the archive."""
    files, number = {}, len(name) * 1000
    for alphabet, characters in alphabets.items():
        for character in range(1, characters + 1):
            number += 1
            for drawer in range(1, DRAWERS + 1):
                path = f"{name}/{alphabet}/character{character:02}/{number:04}_{drawer:02}.png"
                files[path] = drawing(number, drawer)
    return files


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    """Write a zip file, with an entry for the folder as the official ones have."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{path.stem}/", b"")
        for name, content in files.items():
            file.writestr(name, content)
    return path


def write_archives(folder: Path) -> Path:
    """Return both archives."""
    folder.mkdir(parents=True, exist_ok=True)
    for one, alphabets in zip(ARCHIVES, (BACKGROUND, EVALUATION), strict=True):
        write_zip(folder / f"{one.name}.zip", members(one.name, alphabets))
    return folder


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the preparation expect these archives instead of the official ones."""
    monkeypatch.setattr(omniglot, "ARCHIVES", ARCHIVES)
    monkeypatch.setattr(omniglot_splits, "TEST_CHARACTERS", 12)
    monkeypatch.setattr(omniglot_splits, "VALID_CHARACTERS", 8)
    monkeypatch.setattr(omniglot_splits, "VALID_ALPHABETS", 2)


def prepare(source: Path, out: Path, *sizes: int) -> None:
    """What ``python -m data_prep.omniglot`` does."""
    arguments: list[object] = [
        "--source",
        source,
        "--out",
        out,
        "--sizes",
        ",".join(map(str, sizes or [28])),
    ]
    omniglot.main(omniglot.parse_arguments([*map(str, arguments)]))


@pytest.fixture(scope="session")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that is prepared from these archives, with drawings of two sizes."""

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            small(patch)
            prepare(write_archives(folder / "official"), folder / "data", *SIZES)

    return made_once(tmp_path_factory, "drawings", make) / "data"


def write_lake_runs(folder: Path, runs: int, classes: int) -> None:
    """Write Lake's one-shot runs in their official layout; the last class is asked for first."""
    for run in (f"run{number:02}" for number in range(1, runs + 1)):
        for part in ("training", "test"):
            (folder / run / part).mkdir(parents=True)
        lines = []
        for item in range(1, classes + 1):
            label = classes + 1 - item
            (folder / run / f"training/class{item:02}.png").write_bytes(drawing(item, 1))
            (folder / run / f"test/item{item:02}.png").write_bytes(drawing(label, 2))
            lines.append(f"{run}/test/item{item:02}.png {run}/training/class{label:02}.png\n")
        (folder / run / "class_labels.txt").write_text("".join(lines))
