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
    target = asked.resolve()
    unfinished = target.with_name(f".{target.name}.{os.getpid()}-{next(_numbers)}{UNFINISHED}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(target)
        unfinished.touch(exist_ok=False)
        mode = unfinished.stat().st_mode  # the user's default; some writers set their own mode
        yield unfinished
        unfinished.chmod(mode)
        _flush(unfinished)
        os.replace(unfinished, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        refused = _refusal(error)
        if refused is not None and refused.filename in (None, str(unfinished)):
            raise OSError(refused.errno, refused.strerror, str(path)) from error
        raise
    with contextlib.suppress(OSError):  # not every file system supports it
        _flush(target.parent)


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


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote a file."""
    name = re.compile(re.escape(f".{path.name}.") + r"(\d+)-\d+" + re.escape(UNFINISHED))
    for other in path.parent.iterdir():
        match = name.fullmatch(other.name)
        if match and not _alive(int(match[1])):
            other.unlink(missing_ok=True)


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
