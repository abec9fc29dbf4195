"""Checkpoints whose memory is in a file beside them: ``memory_storage`` is ``mmap``.

The file is a snapshot. The checkpoint contains its name and checksum, and everything but the
memory's buffers. The keys are mapped from the file: the system reads what is used, and a change is
kept in main memory, never written to the file.

A new memory has a new name. First it is written, then the checkpoint that names it, and then the
memory that is no longer named is removed. So whenever a program is killed, the checkpoint and the
memory that it names belong together.

The index of a large memory is in one more file, whichever way the memory is stored. It may be
removed: then the index is made again, see :mod:`fairseq_plugins.memory.search.stored_index`.
"""

import re
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from fairseq_plugins.errors import InputError
from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory.snapshot import SnapshotError, read_buffers, save_memory
from fairseq_plugins.memory.state import memory_buffers
from fairseq_plugins.modules.memory_options import empty_memory

_ENTRY = "memory_file"  # of a checkpoint


def models_in(state: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the model's state dict in a checkpoint, then its moving averages, if any.

    A memory is not averaged: all of them have the same one.
    """
    extra = state.get("extra_state") or {}
    return [state["model"], *(extra[k] for k in ("ema", "ema_fp32_params") if k in extra)]


def memory_of(state: dict[str, Any]) -> KeyValueMemory:
    """Build the only memory of a checkpoint, with its settings and contents."""
    (names,) = memory_buffers(state["model"])
    buffers = {name: state["model"][full] for name, full in names.items()}
    # It is whole there, even if the processes that wrote it divided it.
    options = dict(state["cfg"]["model"]) | {"memory_sharded": False}
    memory = empty_memory(OmegaConf.create(options), len(buffers["recent"]))
    memory.load_state_dict(buffers)
    return memory


def index_beside(path: Path) -> Path:
    """Return the file for the index of a checkpoint's memory."""
    return path.with_suffix(".index.safetensors")


def without_memory(state: dict[str, Any], path: Path) -> dict[str, Any]:
    """Write the memory of a checkpoint beside it, if it is stored there.

    Args:
        state: of the checkpoint; it stays unchanged.
        path: of the checkpoint.

    Returns:
        The checkpoint to write, without the memory, or ``state`` itself.

    Raises:
        SnapshotError: if the memory cannot be written.
    """
    memories = memory_buffers(state["model"])
    if len(memories) != 1 or state["cfg"]["model"].get("memory_storage") != "mmap":
        return state
    memory = memory_of(state)
    taken = {int(_number(path, file)) for file in _files(path)}
    number = next(n for n in range(1, len(taken) + 2) if n not in taken)
    file = path.with_name(f"{path.stem}.memory-{number}.safetensors")
    header = save_memory(memory, file, extra={"checkpoint": path.name})
    rest = dict(state)
    rest["extra_state"] = dict(state.get("extra_state") or {})
    names = set(memories[0].values())
    for parts, key in ((rest, "model"), *((rest["extra_state"], k) for k in rest["extra_state"])):
        if isinstance(parts[key], dict):
            parts[key] = {name: part for name, part in parts[key].items() if name not in names}
    prefix = memories[0]["keys"].removesuffix("keys")
    rest[_ENTRY] = {"file": file.name, "checksum": header.checksum, "prefix": prefix}
    return rest


def remove_others(state: dict[str, Any], path: Path) -> None:
    """Remove what belonged to the memory that a checkpoint had before, once it is written."""
    index_beside(path).unlink(missing_ok=True)
    named = state.get(_ENTRY, {}).get("file")
    for file in _files(path):
        if file.name != named:
            file.unlink(missing_ok=True)


def with_memory(state: dict[str, Any], path: str | Path) -> None:
    """Put the memory of the file beside a checkpoint into what was read of it, in place.

    Args:
        state: of the checkpoint.
        path: of the checkpoint.

    Raises:
        InputError: if the file is missing or damaged, or contains another memory.
    """
    entry = state.pop(_ENTRY, None)
    if entry is None:
        return
    file = Path(path).parent / Path(entry["file"]).name
    if not file.is_file():
        raise InputError(f"{path}: its memory is missing; put {file.name} beside it")
    try:
        header, buffers = read_buffers(file)
    except SnapshotError as error:
        raise InputError(f"{path}: its memory is unusable: {error}") from error
    if header.checksum != entry["checksum"]:
        raise InputError(
            f"{path}: {file.name} beside it is another memory; move both files together"
        )
    for weights in models_in(state):
        weights.update({entry["prefix"] + name: buffer for name, buffer in buffers.items()})


def _files(path: Path) -> list[Path]:
    """Return the memories beside a checkpoint."""
    return [file for file in path.parent.iterdir() if _number(path, file)]


def _number(path: Path, file: Path) -> str:
    """Return the number of a memory of a checkpoint; nothing if the file is not one."""
    found = re.fullmatch(re.escape(path.stem) + r"\.memory-(\d+)\.safetensors", file.name)
    return found[1] if found else ""
