"""Lake's one-shot classification runs, in their official layout.

A folder ``all_runs``, or a zip file with it, contains ``run01`` to ``run20``, each with
``training/class01.png`` ... ``class20.png``, ``test/item01.png`` ... ``item20.png`` and
``class_labels.txt``, whose lines name a test drawing and the training drawing of the same class.
See Lake, Salakhutdinov, Tenenbaum (2015), and their "3-year progress report" (2019).
"""

import io
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from fairseq_plugins.errors import InputError

LABELS = "class_labels.txt"
# What PIL and zipfile raise; RuntimeError is for encrypted members, and those of unknown methods.
UNREADABLE = (OSError, ValueError, SyntaxError, RuntimeError, zipfile.BadZipFile, zlib.error,
              Image.DecompressionBombError)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        name: ``run01`` and so on.
        training: [classes, size, size] uint8, ink is 255.
        test: [items, size, size].
        labels: [items] int64, the training drawing of the same class.
    """

    name: str
    training: np.ndarray
    test: np.ndarray
    labels: np.ndarray


def read_runs(path: Path, size: int) -> list[Run]:
    """Read all runs.

    Args:
        path: a zip file, or a folder.
        size: to which the drawings are reduced, in pixels.

    Raises:
        InputError: if anything is missing or damaged.
    """
    if path.is_dir():
        files = {file.relative_to(path).as_posix(): file.read_bytes for file in _files(path)}
        return _read(files, path, size)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            return _read({name: partial(archive.read, name) for name in names}, path, size)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; give the folder or zip of all runs") from error
    except zipfile.BadZipFile as error:
        raise InputError(f"{path}: damaged zip file ({error}); fetch it again") from error


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _read(files: dict[str, Callable[[], bytes]], path: Path, size: int) -> list[Run]:
    labels = sorted(name for name in files if PurePosixPath(name).name == LABELS)
    if not labels:
        raise InputError(f"{path}: no {LABELS} of any run; give the official folder all_runs")
    return [_read_run(files, PurePosixPath(name).parent, path, size) for name in labels]


def _read_run(
    files: dict[str, Callable[[], bytes]], run: PurePosixPath, path: Path, size: int
) -> Run:
    def image(name: str) -> np.ndarray:
        # Lines have the form run01/test/item01.png, relative to the folder above.
        place = (run.parent / name).as_posix()
        if place not in files:
            raise InputError(f"{path}: no {place}, which {run / LABELS} names; fetch it again")
        try:
            grey = Image.open(io.BytesIO(files[place]()), formats=["PNG"]).convert("L")
        except UNREADABLE as error:
            raise InputError(f"{path}, {place}: not a readable image; fetch it again") from error
        ink = grey.point(lambda brightness: 255 - brightness)
        return np.asarray(ink.resize((size, size), Image.Resampling.LANCZOS))

    try:
        text = files[(run / LABELS).as_posix()]().decode("utf-8", errors="replace")
    except UNREADABLE as error:
        raise InputError(f"{path}, {run / LABELS}: damaged; fetch it again") from error
    pairs = [line.split() for line in text.splitlines() if line.strip()]
    for number, pair in enumerate(pairs, 1):
        if len(pair) != 2:
            raise InputError(
                f"{path}, {run / LABELS}, line {number}: not a test and a training drawing; "
                "fetch it again"
            )
    folder = run / "training"  # all of its drawings are shown, whether or not they are asked for
    shown = sorted(
        PurePosixPath(name).relative_to(run.parent).as_posix()
        for name in files
        if PurePosixPath(name).parent == folder and name.endswith(".png")
    )
    if not pairs or len(shown) < 2:
        raise InputError(
            f"{path}, {run}: {len(pairs)} test and {len(shown)} training drawings are no "
            "classification; fetch it again"
        )
    missing = {training for _, training in pairs} - set(shown)
    if missing:
        raise InputError(
            f"{path}: no {run.parent / min(missing)}, which {run / LABELS} names; fetch it again"
        )
    return Run(
        run.name,
        np.stack([image(name) for name in shown]),
        np.stack([image(test) for test, _ in pairs]),
        np.array([shown.index(training) for _, training in pairs]),
    )
