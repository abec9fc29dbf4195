"""Snapshots: saves a memory to a separate file, loads it and describes it.

A snapshot is a safetensors file: the memory's buffers, and a header in JSON (entry ``header`` of
the file's metadata) with the size and the settings of the memory, the model that queried it, and a
checksum of everything. Reading it runs no code that the file could contain.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fairseq_plugins.atomic import replacing
from fairseq_plugins.memory import state
from fairseq_plugins.memory.config import MemorySettings, settings_of
from fairseq_plugins.memory.fingerprint import tensors_digest
from fairseq_plugins.memory.hits import NOTHING
from fairseq_plugins.memory.key_value_memory import KeyValueMemory

FORMAT = "fairseq-memory"
VERSION = state.LAYOUT
_DTYPES = {torch.float32: "F32", torch.int64: "I64", torch.bool: "BOOL"}  # as the file says it


class SnapshotError(ValueError):
    """A snapshot cannot be used or written; the message says which, why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class SnapshotHeader(MemorySettings):
    """What a snapshot says about itself, beside the settings of the memory."""

    filled: int
    """Number of filled slots."""
    fingerprint: str = ""
    """:func:`~.fingerprint.model_fingerprint` of the model that asks; empty if not known."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Additional entries of the writer."""
    checksum: str = ""
    """SHA-256 of all other entries and of the buffers."""
    format: str = FORMAT
    version: int = VERSION


def save_memory(
    memory: KeyValueMemory,
    path: Path | str,
    fingerprint: str = "",
    extra: dict[str, Any] | None = None,
) -> SnapshotHeader:
    """Write a memory to a file, completely or not at all.

    An existing file stays unchanged until the new one is safely on the disk. Staged pairs are not
    saved. With several ranks, only one should call this; if they share a sharded memory, within
    :func:`~.sharded.whole`.

    Args:
        memory: to save.
        path: of the file.
        fingerprint: :func:`~.fingerprint.model_fingerprint` of the model that asks the memory.
        extra: more to put into the header, anything that JSON can say.

    Returns:
        The header that was written.

    Raises:
        SnapshotError: if the memory is damaged, or the file cannot be written, for instance on a
            full disk.
    """
    path = Path(path)
    tensors = {name: buffer.cpu().contiguous() for name, buffer in memory.named_buffers()}
    if reason := state.fault(tensors):
        raise SnapshotError(f"{path}: not written, because the memory is damaged: {reason}")
    header = SnapshotHeader(
        **settings_of(memory),
        filled=int((tensors["values"] != NOTHING).sum()),
        fingerprint=fingerprint,
        extra=json.loads(json.dumps(extra or {})),  # as it will be read
    )
    header = replace(header, checksum=_checksum(header, tensors))
    metadata = {"header": json.dumps(asdict(header))}
    try:
        with replacing(path) as unfinished:
            save_file(tensors, unfinished, metadata)
    except (OSError, SafetensorError) as error:
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise SnapshotError(
            f"cannot write the memory to {path}: {why}; check the folder and the free space on its "
            "disk (what was there is unchanged)"
        ) from error
    return header


def read_header(path: Path | str) -> SnapshotHeader:
    """Read the header of a snapshot, without its tensors.

    Raises:
        SnapshotError: if the file is missing, damaged, not a snapshot, or has an unknown version.
    """
    with _opened(Path(path)) as (_, header):
        return header


def load_memory(path: Path | str) -> KeyValueMemory:
    """Create a memory from a snapshot, on the CPU.

    Raises:
        SnapshotError: as in :func:`read_header`, and if the contents do not match the checksum.
    """
    header, tensors = _read_fitting(Path(path))
    memory = KeyValueMemory(**settings_of(header))
    memory.load_state_dict(tensors)
    return memory


def restore_memory(
    memory: KeyValueMemory, path: Path | str, fingerprint: str | None = None
) -> SnapshotHeader:
    """Replace the contents of a memory with those of a snapshot.

    The memory keeps its settings (neighbours, margin, noise, seed). Its staged pairs are discarded,
    because they refer to its old contents. After an error, nothing has changed.

    Args:
        memory: with the same size, key_dim and num_values.
        path: of the snapshot.
        fingerprint: :func:`~.fingerprint.model_fingerprint` of the model that will ask; None takes
            a snapshot of any model, whose keys may then mean nothing to this one.

    Raises:
        SnapshotError: as in :func:`load_memory`, and if sizes or fingerprints differ.
    """
    path = Path(path)
    header, tensors = _read_fitting(path)
    theirs = _shape(header.size, header.key_dim, header.num_values)
    ours = _shape(memory.size, memory.key_dim, memory.num_values)
    if theirs != ours:
        raise SnapshotError(
            f"{path} contains a memory of {theirs}, but this one has {ours}; create a memory of "
            "the snapshot's size, or use a snapshot of this model"
        )
    if fingerprint is not None and fingerprint != header.fingerprint:
        whose = "another model" if header.fingerprint else "a model that it does not name"
        raise SnapshotError(
            f"{path} belongs to {whose}, whose keys have no meaning for this one; use the model it "
            "was saved with, or fill a new memory"
        )
    memory.discard()
    memory.load_state_dict(tensors)
    return header


def read_buffers(path: Path) -> tuple[SnapshotHeader, dict[str, Tensor]]:
    """Return the header of a snapshot and the memory's buffers, checked, in the newest layout.

    The buffers are mapped from the file: the system reads what is used, and changes stay in main
    memory. So the file may be larger than main memory.

    Raises:
        SnapshotError: as in :func:`load_memory`.
    """
    with _opened(path) as (file, header):
        expected = state.shapes(header.size, header.key_dim, header.num_values, header.version)
        _check_sizes(path, file, expected)
        tensors = {name: file.get_tensor(name) for name in expected}
    if _checksum(header, tensors) != header.checksum:
        _damaged(path, "its contents do not match its checksum")
    reason = state.fault(tensors)
    if reason is None and int((tensors["values"] != NOTHING).sum()) != header.filled:
        reason = f"its header states {header.filled} filled slots"
    if reason is not None:
        _damaged(path, f"it contains impossible numbers: {reason}")
    state.upgrade(tensors)
    return header, tensors


def summarize(path: Path | str) -> dict[str, Any]:
    """Read a complete snapshot, check it, and describe it.

    Returns:
        The header and ``commits``, ``distinct_values``, ``mean_age``, ``greatest_age`` (in commits,
            over filled slots; None if there are none).

    Raises:
        SnapshotError: as in :func:`load_memory`.
    """
    header, tensors = _read_fitting(Path(path))
    return asdict(header) | describe(tensors)


def describe(buffers: Mapping[str, Tensor]) -> dict[str, Any]:
    """Describe the buffers of a memory: what :func:`summarize` adds to the header."""
    filled = buffers["values"] != NOTHING
    ages = (buffers["commits"] - buffers["touched"])[filled]
    return {
        "commits": int(buffers["commits"]),
        "distinct_values": len(buffers["values"][filled].unique()),
        "mean_age": float(ages.double().mean()) if len(ages) else None,
        "greatest_age": int(ages.max()) if len(ages) else None,
    }


# --- How it is done -------------------------------------------------------------------------------


def _read_fitting(path: Path) -> tuple[SnapshotHeader, dict[str, Tensor]]:
    """Read a snapshot that is to be copied to main memory; refuse one that is larger."""
    if path.is_file() and (size := path.stat().st_size) > physical_memory():
        raise SnapshotError(
            f"{path} has {size / 2**30:.1f} GiB, but this machine has "
            f"{physical_memory() / 2**30:.1f} GiB of main memory; load it on a larger one"
        )
    return read_buffers(path)


def _check_sizes(
    path: Path, file: Any, expected: dict[str, tuple[tuple[int, ...], torch.dtype]]
) -> None:
    """Check the tensors' shapes before any of them is in main memory."""
    for name, (shape, dtype) in expected.items():
        found = file.get_slice(name)
        if (tuple(found.get_shape()), found.get_dtype()) != (shape, _DTYPES[dtype]):
            _damaged(path, "its tensors do not have the sizes in its header")


def physical_memory() -> float:
    """Return this machine's main memory in bytes; infinity if the system does not report it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return math.inf


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, SnapshotHeader]]:
    """Open a file and check its header; no tensor is read yet."""
    if not path.is_file():
        raise SnapshotError(f"{path}: no such file; give one written by save_memory")
    try:
        with safe_open(path, framework="pt") as file:
            yield file, _parse(path, (file.metadata() or {}).get("header", ""))
    except SafetensorError as error:
        _damaged(path, str(error).lower(), error)
    except OSError as error:
        raise SnapshotError(f"cannot read {path}: {error}; check its permissions") from error
    except (MemoryError, RuntimeError) as error:  # torch raises the latter
        first_line = str(error).partition("\n")[0]
        raise SnapshotError(
            f"{path} does not fit into the free main memory ({first_line}); close other programs, "
            "or load it on a larger machine"
        ) from error


def _parse(path: Path, text: str) -> SnapshotHeader:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):  # the latter from thousands of nested brackets
        entries = None
    if not isinstance(entries, dict) or entries.get("format") != FORMAT:
        raise SnapshotError(
            f"{path} is a safetensors file, but not a snapshot of a memory; give a file written by "
            "save_memory"
        )
    if entries.get("version") not in state.BUFFERS:
        raise SnapshotError(
            f"{path} has format version {entries.get('version')}, but this program reads versions "
            f"up to {VERSION}; use the fairseq-memory that wrote it"
        )
    types = get_type_hints(SnapshotHeader)
    types |= {name: (int, float) for name, kind in types.items() if kind is float}
    types["extra"] = dict
    if entries.keys() != types.keys() or not all(
        isinstance(entry, types[name]) for name, entry in entries.items()
    ):
        _damaged(path, "its header is incomplete")
    try:
        return SnapshotHeader(**entries)
    except ValueError as error:
        _damaged(path, f"its header holds what no memory can be: {error}", error)


def _damaged(path: Path, why: str, cause: Exception | None = None) -> NoReturn:
    raise SnapshotError(
        f"{path} is damaged or cut short ({why}); copy it again or save the memory again"
    ) from cause


def _shape(size: int, key_dim: int, num_values: int) -> str:
    return f"{size} slots x {key_dim} dimensions x {num_values} values"


def _checksum(header: SnapshotHeader, tensors: dict[str, Tensor]) -> str:
    """Return the checksum of everything but the checksum itself."""
    rest = json.dumps(asdict(header) | {"checksum": ""}, sort_keys=True)
    return hashlib.sha256((rest + tensors_digest(tensors.items())).encode()).hexdigest()
