"""Atomic files: every file of this project is written completely or not at all.

Until it is complete and on the disk, a new file has a temporary name beside its final one, which
contains the number of the writing process. If that process is killed, the next one that writes the
same file removes the temporary one.

``data_prep`` stands alone, and has a link to this file.
"""

import contextlib
import errno
import itertools
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

UNFINISHED = ".unfinished"
_numbers = itertools.count()  # several threads may write at the same time


@contextlib.contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Write a file under a temporary name and rename it when it is complete.

    Missing folders are created. A symbolic link stays one: its target is replaced. Terminals and
    pipes are written to directly.

    Args:
        path: of the file. Its old contents stay until the end.

    Yields:
        The path to write to.

    Raises:
        OSError: if the file cannot be written, for instance on a full disk. It names ``path``, and
            nothing is left behind.
    """
    asked = Path(path)
    if asked.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder; name a file", str(path))
    if asked.exists() and not asked.is_file():
        yield asked
        return
    with _under_another_name(path) as unfinished:
        unfinished.touch(exist_ok=False)
        mode = unfinished.stat().st_mode  # as the user wants it; some writers have their own
        yield unfinished
        unfinished.chmod(mode)
        _flush(unfinished)


@contextlib.contextmanager
def making_folder(path: Path | str) -> Iterator[Path]:
    """Create a folder under a temporary name and rename it when it is complete.

    Args:
        path: of the folder, which must not exist, or be empty.

    Yields:
        The folder to fill.

    Raises:
        OSError: as in :func:`replacing`.
    """
    with _under_another_name(path) as unfinished:
        unfinished.mkdir()
        yield unfinished


@contextlib.contextmanager
def replacing_text(path: Path | str) -> Iterator[TextIO]:
    """Open a UTF-8 text file that appears under its name once it is complete."""
    with replacing(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
        yield file


def write_text(path: Path | str, text: str) -> None:
    """Write a UTF-8 text file completely or not at all."""
    with replacing_text(path) as file:
        file.write(text)


def write_json(path: Path | str, content: object) -> None:
    """Write a JSON file completely or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")


@contextlib.contextmanager
def _under_another_name(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path; rename what is written there, or remove it after an error."""
    target = Path(path).resolve()
    unfinished = target.with_name(f".{target.name}.{os.getpid()}-{next(_numbers)}{UNFINISHED}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(target)
        yield unfinished
        os.replace(unfinished, target)
    except BaseException as error:
        _remove(unfinished)
        refused = _refusal(error)
        if refused is not None and _concerns(refused, unfinished):
            raise OSError(refused.errno, refused.strerror, str(path)) from error
        raise
    with contextlib.suppress(OSError):  # not every file system can do it
        _flush(target.parent)


def _concerns(refused: OSError, unfinished: Path) -> bool:
    name = refused.filename
    return name is None or (isinstance(name, str) and Path(name).is_relative_to(unfinished))


def _remove(path: Path) -> None:
    """Remove a file or folder, if that can be done."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote a file."""
    name = re.compile(re.escape(f".{path.name}.") + r"(\d+)-\d+" + re.escape(UNFINISHED))
    for other in path.parent.iterdir():
        match = name.fullmatch(other.name)
        if match and not _alive(int(match[1])):
            _remove(other)


def _alive(process: int) -> bool:
    """Return whether a process exists; always True on Windows, where asking would end it."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to another user
        return True
    return True


def _refusal(error: BaseException) -> OSError | None:
    """Return the system's error; torch reports it as the context of its own RuntimeError."""
    cause: BaseException | None = error
    while isinstance(cause, RuntimeError):
        cause = cause.__cause__ or cause.__context__
    return cause if isinstance(cause, OSError) and cause.errno else None


def _flush(path: Path) -> None:
    """Wait until a file, or the list of files of a folder, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
