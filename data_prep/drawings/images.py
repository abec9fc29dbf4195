"""Reads Omniglot's drawings from the official archives, or from the folders unpacked from them.

Nothing is unpacked to the disk: members of an archive are read one by one, and only those with the
official names.
"""

import io
import logging
import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image
from tqdm import tqdm

from data_prep.core.program import DataError

logger = logging.getLogger(__name__)

DRAWERS = 20
SIDE = 105  # pixels of an original drawing
# What PIL and zipfile raise; RuntimeError is for encrypted members, and those of unknown methods.
UNREADABLE = (OSError, ValueError, SyntaxError, RuntimeError, zipfile.BadZipFile, zlib.error,
              Image.DecompressionBombError)  # fmt: skip
MAX_BYTES = 1 << 20  # of one drawing, which has 200 to 600 bytes; protects against a zip bomb
NAME = re.compile(r"(?P<alphabet>[^/]+)/(?P<character>character\d+)/\d+_(?P<drawer>\d+)\.png")


@dataclass(frozen=True)
class Archive:
    """One half of Omniglot, and its expected contents."""

    name: str
    md5: str
    alphabets: int
    characters: int


# Lake et al. 2015; torchvision publishes the same checksums.
ARCHIVES = (
    Archive("images_background", "68d2efa1b9178cc56df9314c21c6e718", 30, 964),
    Archive("images_evaluation", "6b91aef0f799c5bb55b94e3f2daec811", 20, 659),
)


@dataclass(frozen=True)
class Drawing:
    """A drawing, and where to read it.

    Attributes:
        alphabet: name of its folder, for instance ``Greek``.
        character: ``character01`` and so on, within the alphabet.
        drawer: 1 to 20; the same number within an alphabet is the same person.
        path: for messages.
        read: returns the bytes of its PNG file.
    """

    alphabet: str
    character: str
    drawer: int
    path: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Drawings:
    """All drawings of an archive, by character and drawer.

    Attributes:
        alphabets: the alphabet of each character.
        characters: their names in the alphabet.
        images: [characters, drawers, size, size] uint8, ink is 255.
    """

    alphabets: Sequence[str]
    characters: Sequence[str]
    images: np.ndarray


def find_archive(source: Path, archive: Archive) -> Path:
    """Find an archive, or the folder that was unpacked from it.

    Raises:
        DataError: If there is neither.
    """
    for path in (source / f"{archive.name}.zip", source / archive.name):
        if path.exists():
            return path
    raise DataError(
        f"{source / archive.name}.zip: no such file, nor a folder {archive.name}; "
        "give the folder with both archives as --source"
    )


def input_files(path: Path) -> list[Path]:
    """Return the files of an archive: the archive itself, or the drawings in its folder."""
    return [path] if path.is_file() else sorted(path.rglob("*.png"))


def read_archive(path: Path, archive: Archive, size: int) -> Drawings:
    """Read all drawings of an archive, reduced to ``size`` x ``size`` pixels.

    Args:
        path: of the zip file, or of the folder ``images_background`` or ``images_evaluation``.
        archive: its expected contents.
        size: in pixels.

    Returns:
        The drawings, ordered by alphabet, character and drawer.

    Raises:
        DataError: If a name is unsafe, an image is damaged, or anything is missing.
    """
    with ExitStack() as stack:
        if path.is_file():
            found = _in_zip(_open_zip(path, stack), path, archive)
        else:
            found = _in_folder(path)
        verify(found, path, archive)
        found.sort(key=lambda drawing: (drawing.alphabet, drawing.character, drawing.drawer))
        progress = tqdm(found, f"{archive.name}, {size}x{size}", unit=" drawings", disable=None)
        images = np.stack([reduce(drawing, size) for drawing in progress])
    one_of_each = found[::DRAWERS]
    return Drawings(
        [drawing.alphabet for drawing in one_of_each],
        [drawing.character for drawing in one_of_each],
        images.reshape(-1, DRAWERS, size, size),
    )


def verify(drawings: Sequence[Drawing], path: Path, archive: Archive) -> None:
    """Check that all alphabets, characters and drawings are there.

    Raises:
        DataError: If not; names the first incomplete one.
    """
    drawers: dict[tuple[str, str], list[int]] = {}
    for drawing in drawings:
        drawers.setdefault((drawing.alphabet, drawing.character), []).append(drawing.drawer)
    for (alphabet, character), numbers in sorted(drawers.items()):
        if sorted(numbers) != list(range(1, DRAWERS + 1)):
            raise DataError(
                f"{path}: {alphabet}/{character} has {len(numbers)} drawings, not one by each of "
                f"{DRAWERS} people; fetch the archive again"
            )
    alphabets = {alphabet for alphabet, _ in drawers}
    if (len(alphabets), len(drawers)) != (archive.alphabets, archive.characters):
        raise DataError(
            f"{path}: {len(alphabets)} alphabets with {len(drawers)} characters, but "
            f"{archive.name} has {archive.alphabets} with {archive.characters}; fetch it again"
        )


def reduce(drawing: Drawing, size: int) -> np.ndarray:
    """Read a drawing and reduce its size.

    Args:
        drawing: to read.
        size: in pixels.

    Returns:
        [size, size] uint8: black ink is 255, white paper 0.

    Raises:
        DataError: If it is damaged, or not 105 x 105 pixels.
    """
    try:
        with Image.open(io.BytesIO(drawing.read()), formats=["PNG"]) as image:
            if image.size != (SIDE, SIDE):
                raise DataError(
                    f"{drawing.path}: {image.width} x {image.height} pixels, not {SIDE} x {SIDE}; "
                    "fetch the archive again"
                )
            grey = image.convert("L")
    except UNREADABLE as error:
        reason = str(error) or type(error).__name__
        raise DataError(
            f"{drawing.path}: not a readable PNG image ({reason}); fetch the archive again"
        ) from error
    small = grey.point(lambda brightness: 255 - brightness)
    return np.asarray(small.resize((size, size), Image.Resampling.LANCZOS))


def _open_zip(path: Path, stack: ExitStack) -> zipfile.ZipFile:
    try:
        return stack.enter_context(zipfile.ZipFile(path))
    except zipfile.BadZipFile as error:
        raise DataError(f"{path}: damaged zip file ({error}); fetch it again") from error


def _in_zip(file: zipfile.ZipFile, path: Path, archive: Archive) -> list[Drawing]:
    """Return the drawings in a zip file, below the folder of the same name."""
    drawings = []
    for member in file.infolist():
        place = PurePosixPath(member.filename)
        if place.is_absolute() or ".." in place.parts or "\\" in member.filename:
            raise DataError(
                f"{path}: rejected, because it contains the unsafe path {member.filename!r}; "
                "fetch it from the official place"
            )
        if member.file_size > MAX_BYTES:
            raise DataError(
                f"{path}: rejected, because {member.filename} has {member.file_size:,} bytes, "
                "too many for a drawing; download it from the official place"
            )
        if place.parts[:1] == (archive.name,) and not member.is_dir():
            drawing = _drawing(
                place.relative_to(archive.name).as_posix(),
                f"{path}, {member.filename}",
                partial(file.read, member),
            )
            drawings += [drawing] if drawing else []
    return drawings


def _in_folder(folder: Path) -> list[Drawing]:
    """Return the drawings in an unpacked folder."""
    found = (
        _drawing(path.relative_to(folder).as_posix(), str(path), path.read_bytes)
        for path in folder.rglob("*.png")
    )
    return [drawing for drawing in found if drawing]


def _drawing(name: str, path: str, read: Callable[[], bytes]) -> Drawing | None:
    match = NAME.fullmatch(name)
    if not match:
        logger.debug("%s is not a drawing", path)
        return None
    return Drawing(match["alphabet"], match["character"], int(match["drawer"]), path, read)
