"""Writes fairseq's checkpoints completely or not at all."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from fairseq import checkpoint_utils
from fairseq.file_io import PathManager
from fairseq.trainer import Trainer

from fairseq_plugins.atomic import replacing
from fairseq_plugins.errors import InputError
from fairseq_plugins.memory.sharded import whole

_save = checkpoint_utils.torch_persistent_save
_save_checkpoint = checkpoint_utils.save_checkpoint
_copy = PathManager.copy


@contextlib.contextmanager
def _whole(path: str) -> Iterator[Path]:
    """Write a file under a temporary name, and rename it once it is complete.

    Raises:
        InputError: if it cannot be written; nothing is left behind.
    """
    try:
        with replacing(path) as unfinished:
            yield unfinished
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); free space or allow it, and "
            "start the same command again: it resumes from the last complete checkpoint"
        ) from error


def _save_whole(obj: Any, filename: str, async_write: bool = False) -> None:
    """Save once, without fairseq's three tries, their tracebacks, and what they leave behind."""
    if async_write or not PathManager.supports_rename(filename):
        _save(obj, filename, async_write)
        return
    with _whole(filename) as unfinished, unfinished.open("wb") as file:
        torch.save(obj, file)


def _save_whole_memory(cfg: Any, trainer: Trainer, *args: Any) -> Any:
    """Save a checkpoint, with all of a memory that is divided among the workers."""
    if cfg.no_save:
        return _save_checkpoint(cfg, trainer, *args)
    with whole(trainer.model):
        return _save_checkpoint(cfg, trainer, *args)


def _copy_whole(source: str, destination: str, overwrite: bool = False) -> bool:
    """Write checkpoint_last.pt as an atomic copy, so that a kill cannot truncate it."""
    if not PathManager.supports_rename(destination):
        return _copy(source, destination, overwrite)
    with _whole(destination) as unfinished:
        if not _copy(source, str(unfinished), overwrite=True):
            raise OSError(f"{source} could not be copied")
    return True


checkpoint_utils.torch_persistent_save = _save_whole
checkpoint_utils.save_checkpoint = _save_whole_memory
PathManager.copy = staticmethod(_copy_whole)
