"""Drawings of characters, prepared by ``data_prep.omniglot`` and divided into parts."""

import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fairseq_plugins.errors import InputError

QUARTER_TURN = 90  # degrees


@dataclass(frozen=True)
class OmniglotImages:
    """Drawings of characters, each character a class.

    Attributes:
        images: [classes, drawings, size, size] uint8, ink is 255.
        names: of the classes, ``Greek/character01``; rotated by 90 degrees
            ``Greek/character01@90``.
        alphabets: of the classes.
    """

    images: np.ndarray
    names: Sequence[str]
    alphabets: Sequence[str]

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.images)

    @property
    def drawings(self) -> int:
        """Number of drawings of each class."""
        return self.images.shape[1]

    @property
    def size(self) -> int:
        """Width and height of a drawing, in pixels."""
        return self.images.shape[-1]

    def select(self, names: Sequence[str]) -> "OmniglotImages":
        """Return the classes with these names, in this order."""
        place = {name: index for index, name in enumerate(self.names)}
        rows = [place[name] for name in names]
        return OmniglotImages(self.images[rows], list(names), [self.alphabets[row] for row in rows])

    def turned(self, degrees: int) -> "OmniglotImages":
        """Return all drawings rotated counter-clockwise, as new classes with new names.

        Args:
            degrees: a multiple of 90.
        """
        if degrees % (4 * QUARTER_TURN) == 0:
            return self
        turned = np.rot90(self.images, degrees // QUARTER_TURN, axes=(2, 3))
        names = [f"{name}@{degrees}" for name in self.names]
        return OmniglotImages(np.ascontiguousarray(turned), names, self.alphabets)

    def with_turns(self, turns: Sequence[int]) -> "OmniglotImages":
        """Return the classes once for each rotation (Santoro et al. 2016, section 4.1)."""
        copies = [self.turned(degrees) for degrees in turns]
        return OmniglotImages(
            np.concatenate([copy.images for copy in copies]),
            [name for copy in copies for name in copy.names],
            [alphabet for copy in copies for alphabet in copy.alphabets],
        )

    def require(self, classes: int, drawings: int) -> "OmniglotImages":
        """Check that an episode can be drawn from these images.

        Args:
            classes: number that it needs.
            drawings: number that it needs of each class.

        Returns:
            The images themselves.

        Raises:
            InputError: if there are fewer, or an episode needs none.
        """
        if min(classes, drawings) < 1:
            raise InputError(
                f"{classes} classes with {drawings} drawings each do not make an episode; use at "
                "least one of each"
            )
        if classes > len(self):
            raise InputError(
                f"{classes} different classes are needed, but this part of the data has "
                f"{len(self)}; use fewer ways or classes, or another part"
            )
        if drawings > self.drawings:
            raise InputError(
                f"{drawings} drawings of a class are needed, but there are {self.drawings}; "
                "use fewer shots, queries or drawings"
            )
        return self


def load_images(folder: Path, size: int) -> OmniglotImages:
    """Load all drawings.

    Args:
        folder: created by ``data_prep.omniglot``.
        size: of the images, in pixels.

    Raises:
        InputError: if they do not exist in this size, or the file is damaged.
    """
    path = folder / f"omniglot_{size}.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            images = file["images"]
            alphabets, characters = file["alphabets"].tolist(), file["characters"].tolist()
        if not len(images) == len(alphabets) == len(characters):
            raise ValueError("numbers of names and characters differ")
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file; make it with `python -m data_prep.omniglot --out {folder} "
            f"--sizes {size}`"
        ) from error
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path}: damaged, or not created by data_prep.omniglot; remove it and prepare it again"
        ) from error
    pairs = zip(alphabets, characters, strict=True)
    return OmniglotImages(images, [f"{one}/{other}" for one, other in pairs], alphabets)


def load_splits(folder: Path) -> dict[str, Any]:
    """Load the splits into parts by name, as written by ``data_prep.drawings.splits``.

    Raises:
        InputError: if they do not exist, or the file is damaged.
    """
    path = folder / "splits.json"
    try:
        splits = json.loads(path.read_text("utf-8"))
        for split in splits.values():
            if set(split["parts"]) != set(split["turns"]):
                raise ValueError("parts and turns differ")
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file; make it with `python -m data_prep.omniglot --out {folder}`"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: damaged ({error}); remove it and prepare it again") from error
    return splits


def load_part(folder: Path, size: int, split: str, part: str) -> OmniglotImages:
    """Load the classes of one part, rotated as the split specifies.

    Args:
        folder: created by ``data_prep.omniglot``.
        size: of the images, in pixels.
        split: its name.
        part: ``train``, ``valid`` or ``test``.

    Raises:
        InputError: if the split or part does not exist, or the files do not match.
    """
    splits = load_splits(folder)
    if split not in splits:
        raise InputError(
            f"{folder / 'splits.json'}: no split {split!r}; there are {', '.join(splits)}"
        )
    parts = splits[split]["parts"]
    if part not in parts:
        remedy = (
            "use --disable-validation, or a split with classes for development"
            if part == "valid"
            else "use one of these"
        )
        raise InputError(f"split {split} has only {' and '.join(parts)}, no {part}; {remedy}")
    images = load_images(folder, size)
    unknown = sorted(set(parts[part]) - set(images.names))
    if unknown:
        raise InputError(
            f"{folder / f'omniglot_{size}.npz'}: lacks {unknown[0]}, which splits.json names; "
            "prepare the folder again"
        )
    return images.select(parts[part]).with_turns(splits[split]["turns"][part])
