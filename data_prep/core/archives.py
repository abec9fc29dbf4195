"""Extracts members of archives to files of our choice.

Names of members never determine where anything is written, and links are never followed: each
member is streamed into a file that we name.
"""

import bz2
import gzip
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from data_prep.core.program import DataError

SHOWN = 10  # members listed if the requested one is missing
DAMAGES = (EOFError, OSError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
           RuntimeError)  # for zip files with a password  # fmt: skip
PACKERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}


def unpack(archive: Path, members: Mapping[str, Path]) -> None:
    """Write members of a tar file (plain, gzip, bzip2 or xz) or a zip file, in one pass.

    Args:
        archive: The file.
        members: Destination of each, by its name in the archive.

    Raises:
        DataError: If the archive is damaged or lacks one of them.
    """
    with errors_of(archive):
        seen = (_unzip if zipfile.is_zipfile(archive) else _untar)(archive, members)
    missing = [name for name in members if name not in seen]
    if missing:
        others = ", ".join(seen[:SHOWN]) + (", ..." if len(seen) > SHOWN else "")
        raise DataError(f"{archive}: has no file {missing[0]!r}, but {others or 'none at all'}")


def _untar(archive: Path, members: Mapping[str, Path]) -> list[str]:
    seen = []
    # tarfile's own decompression treats a truncated file as complete.
    with opener(archive)(archive, "rb") as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            name = PurePosixPath(member.name).as_posix()
            if not member.isreg():
                continue
            seen.append(name)
            if name in members:
                _copy(tar.extractfile(member), members[name])
                if set(members) <= set(seen):
                    break
    return seen


def opener(archive: Path) -> Callable[..., Any]:
    """Return the function that opens a possibly compressed file, judged by its first bytes."""
    with archive.open("rb") as file:
        begin = file.read(max(map(len, PACKERS)))
    return next((opener for magic, opener in PACKERS.items() if begin.startswith(magic)), open)


def _unzip(archive: Path, members: Mapping[str, Path]) -> list[str]:
    with zipfile.ZipFile(archive) as file:
        seen = [info.filename for info in file.infolist() if not info.is_dir()]
        for name in set(members) & set(seen):
            with file.open(name) as stream:
                _copy(stream, members[name])
    return seen


def _copy(stream: IO[bytes] | None, path: Path) -> None:
    assert stream is not None, "a regular file"
    with path.open("wb") as file:
        shutil.copyfileobj(stream, file)


@contextmanager
def errors_of(archive: Path) -> Iterator[None]:
    """Report a damaged archive; a full disk is different, because its error has an errno."""
    try:
        yield
    except DAMAGES as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DataError(
            f"{archive}: damaged or cut short ({error}); remove it to download it again"
        ) from error


def is_archive(path: Path) -> bool:
    """Return whether it has members, judged by its name, because it may not exist yet."""
    return path.name.endswith((".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz"))
