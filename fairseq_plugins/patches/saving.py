"""fairseq's checkpoints: written whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from fairseq import checkpoint_utils
from fairseq.file_io import PathManager

from fairseq_plugins.errors import InputError

_save = checkpoint_utils.torch_persistent_save
_copy = PathManager.copy


@contextlib.contextmanager
def _whole(path: str) -> Iterator[str]:
    """Write a file under another name, which it loses once it is complete.

    Raises:
        InputError: if it cannot be written; nothing is left behind.
    """
    unfinished = f"{path}.tmp"
    try:
        yield unfinished
        os.replace(unfinished, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            Path(unfinished).unlink(missing_ok=True)
        if isinstance(error, OSError | RuntimeError):
            raise InputError(
                f"{path}: cannot be written ({_reason(error)}); make room or permit it, and start "
                "the same command again: it goes on from the last whole checkpoint"
            ) from error
        raise


def _reason(error: BaseException) -> str:
    """What the system says; torch tells it as the context of an error of its own."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__context__
    return str(error).splitlines()[0] if cause is None else cause.strerror or str(cause)


def _save_whole(obj: Any, filename: str, async_write: bool = False) -> None:
    """fairseq tries three times, shows a traceback for each, and leaves what it has written."""
    if async_write or not PathManager.supports_rename(filename):
        _save(obj, filename, async_write)
        return
    with _whole(filename) as unfinished, open(unfinished, "wb") as file:
        torch.save(obj, file)


def _copy_whole(source: str, destination: str, overwrite: bool = False) -> bool:
    """fairseq writes checkpoint_last.pt as a copy, into which a kill must leave no gap."""
    if not PathManager.supports_rename(destination):
        return _copy(source, destination, overwrite)
    with _whole(destination) as unfinished:
        if not _copy(source, unfinished, overwrite=True):
            raise OSError(f"{source} could not be copied")
    return True


checkpoint_utils.torch_persistent_save = _save_whole
PathManager.copy = staticmethod(_copy_whole)
