"""Reads and writes text files, plain or gzip, with errors that name file and line."""

import gzip
import hashlib
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePath
from typing import BinaryIO

from tqdm import tqdm

from data_prep.core.program import DataError

FORBIDDEN = "/\\"  # separate folders on some systems, so not allowed in names
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
CHUNK = 1 << 20  # bytes


def find_text(prefix: str, language: str) -> Path:
    """Find `PREFIX.LANGUAGE` or `PREFIX.LANGUAGE.gz`.

    Raises:
        DataError: If there is neither.
    """
    plain = Path(f"{prefix}.{language}")
    packed = Path(f"{prefix}.{language}.gz")
    for path in (plain, packed):
        if path.is_file():
            return path
    raise DataError(f"{plain}: no such file, nor {packed.name}; check the prefix and the language")


def name_fault(name: str) -> str | None:
    """Return why a name cannot be that of a file or folder in its place, or None."""
    if name and name.isprintable() and not name.startswith(".") and not set(name) & set(FORBIDDEN):
        return None
    return (
        "cannot be the name of a file or folder; it must not be empty, begin with a dot, or "
        "contain a slash, backslash or control character"
    )


def plain_name(name: str, what: str) -> str:
    """Return a name from a user, an address or a file, if it is safe.

    Args:
        name: Of a file or folder.
        what: What the name is for, in the message.

    Raises:
        DataError: If it could point elsewhere.
    """
    if fault := name_fault(name):
        raise DataError(f"{what}: {name!r} {fault}")
    return name


def inside(folder: Path, name: str, what: str) -> Path:
    """Return `folder / name` if it is inside the folder.

    Links are not resolved: they belong to the user, who may keep a part of the folder elsewhere.

    Args:
        folder: That must contain it.
        name: A relative path from a file.
        what: What contains the name, for the message.

    Raises:
        DataError: If it is outside.
    """
    path = PurePath(os.path.normpath(name))
    if path.is_absolute() or path.parts[:1] in ((), ("..",)) or not name.isprintable():
        raise DataError(f"{what}: {name!r} does not lie in {folder}; nothing is written there")
    return folder / name


def open_bytes(path: Path) -> BinaryIO | gzip.GzipFile:
    """Open a file for reading; a file whose name ends in `.gz` is decompressed."""
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def read_byte_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a text file, plain or gzip, without their line ends.

    A line ends with `\\n` only, as for `wc -l`; the last line may lack it.

    Raises:
        DataError: If the file is a damaged gzip file.
    """
    try:
        with open_bytes(path) as lines:
            for line in lines:
                yield line.removesuffix(b"\n")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: damaged gzip file ({error}); fetch it again") from error


def read_lines(path: Path, errors: str = "strict") -> Iterator[str]:
    """Yield the lines of a UTF-8 text file, plain or gzip, without their line ends.

    Args:
        path: The file.
        errors: `strict`, or `replace` to replace bytes that are not UTF-8 by U+FFFD.

    Raises:
        DataError: At the first line that is not UTF-8, and for a damaged gzip file.
    """
    for number, line in enumerate(read_byte_lines(path), start=1):
        if number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        try:
            yield line.decode("utf-8", errors)
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}, line {number}: not UTF-8 at byte {error.start + 1}; "
                "convert the file, for instance with `iconv -f latin1 -t utf-8`"
            ) from error


@contextmanager
def aligned_writer(paths: Sequence[Path]) -> Iterator[Callable[..., None]]:
    """Open text files, and yield a function that writes one line to each."""
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("w", encoding="utf-8")) for path in paths]

        def write(*lines: str) -> None:
            for file, line in zip(files, lines, strict=True):
                file.write(line + "\n")

        yield write


def count_lines(path: Path) -> int:
    """Count the lines of a text file, plain or gzip."""
    return sum(1 for _ in read_byte_lines(path))


def read_with_progress(path: Path, verb: str) -> Iterator[str]:
    """Yield the lines of a UTF-8 text file and show a progress bar."""
    total = count_lines(path)
    return iter(
        tqdm(read_lines(path), f"{verb} {path.name}", total=total, unit=" lines", disable=None)
    )


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            sha.update(chunk)
    return sha.hexdigest()
