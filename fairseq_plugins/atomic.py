"""Files that are written whole or not at all: the one way in which this project writes them.

What is written lies beside the file, under a name that says which process writes it, until it is
complete and on the disk. A process that is killed leaves it there; the next one that writes the
same file removes it.
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
_numbers = itertools.count()  # several threads may write at once


@contextlib.contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Let a file be written under another name, which becomes its own once it is complete.

    Folders that are missing are made. A link stays one: the file that it leads to is replaced.
    Terminals and pipes are written to directly.

    Args:
        path: of the file; until the end, what it was stays as it was.

    Yields:
        Where to write.

    Raises:
        OSError: if it cannot be written, for instance on a full disk; names ``path``, and nothing
            is left behind.
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
        mode = unfinished.stat().st_mode  # as the user wants it; some writers have a mode of theirs
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
    with contextlib.suppress(OSError):  # not every file system can do it
        _flush(target.parent)


@contextlib.contextmanager
def replacing_text(path: Path | str) -> Iterator[TextIO]:
    """Open a text file in UTF-8 that appears under its name when all of it is written."""
    with replacing(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
        yield file


def write_text(path: Path | str, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    with replacing_text(path) as file:
        file.write(text)


def write_json(path: Path | str, content: object) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def _remove_leftovers(path: Path) -> None:
    """Remove what processes left that were killed while they wrote a file."""
    name = re.compile(re.escape(f".{path.name}.") + r"(\d+)-\d+" + re.escape(UNFINISHED))
    for other in path.parent.iterdir():
        match = name.fullmatch(other.name)
        if match and not _alive(int(match[1])):
            other.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    """Whether there is such a process; on Windows, where asking would end it, always."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def _refusal(error: BaseException) -> OSError | None:
    """What the system refused; torch tells it as the context of a RuntimeError of its own."""
    cause: BaseException | None = error
    while isinstance(cause, RuntimeError):
        cause = cause.__cause__ or cause.__context__
    return cause if isinstance(cause, OSError) and cause.errno else None


def _flush(path: Path) -> None:
    """Wait until a file, or a folder's list of files, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
