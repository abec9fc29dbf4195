"""An index in a file beside its memory, so that it is not made again whenever the memory is loaded.

What takes long to make is a partition of the keys: centroids, and the centroid that is nearest to
each key. The file contains these, a digest of the keys and a checksum, as safetensors, and no data
structure of the library that searches. A file that is missing, damaged or of another memory costs
the time to make the index; it cannot change answers, which always come from the keys themselves.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fairseq_plugins.atomic import replacing

FORMAT, VERSION = "fairseq-memory index", "1"
_AT_ONCE = 1 << 16  # keys that are copied at once


class UnusableIndex(ValueError):
    """A file does not contain the index of a memory; the message says why not."""


@dataclass(frozen=True)
class Partition:
    """Keys divided into lists."""

    centroids: Tensor
    """[L, D] float32, of the lists."""
    lists: Tensor
    """[n] int32, the list of each key."""


def write_index(path: Path, partition: Partition, keys: Tensor, slots: Tensor) -> None:
    """Write a partition completely or not at all.

    Args:
        path: of the file.
        partition: of the keys.
        keys: [S, D], of the memory.
        slots: [n] int64, those that are in the partition, in ascending order.

    Raises:
        OSError: if it cannot be written.
    """
    tensors = {"centroids": partition.centroids.contiguous(), "lists": partition.lists.contiguous()}
    about = {"format": FORMAT, "version": VERSION, "keys": _keys_digest(keys, slots)}
    about["checksum"] = _digest(tensors.values())
    try:
        with replacing(path) as unfinished:
            save_file(tensors, unfinished, about)
    except SafetensorError as error:  # in place of an OSError, for instance on a full disk
        raise OSError(f"cannot write {path}: {error}; free space on its disk") from error


def read_index(path: Path, keys: Tensor, slots: Tensor) -> Partition:
    """Read the partition of a memory's keys.

    Nothing larger than the memory is loaded, and nothing that was not checked is returned.

    Args:
        path: of the file.
        keys: [S, D], of the memory.
        slots: [n] int64, those that are filled, in ascending order.

    Raises:
        UnusableIndex: if it does not contain it.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            if (about.get("format"), about.get("version")) != (FORMAT, VERSION):
                raise UnusableIndex("is no index of this version")
            shapes = {name: file.get_slice(name).get_shape() for name in ("centroids", "lists")}
            types = [file.get_slice(name).get_dtype() for name in shapes]
            count, width = len(slots), keys.shape[1]
            rows = shapes["centroids"][0] if shapes["centroids"] else 0
            if shapes["lists"] != [count] or shapes["centroids"] != [min(rows, count), width]:
                raise UnusableIndex("is the index of another memory")
            if types != ["F32", "I32"]:
                raise UnusableIndex("is damaged")
            tensors = {name: file.get_tensor(name) for name in shapes}
    except (SafetensorError, OSError) as error:
        raise UnusableIndex(f"is damaged ({error})") from error
    found = Partition(**tensors)
    sound = _digest(tensors.values()) == about.get("checksum") and found.centroids.isfinite().all()
    if not sound or not ((found.lists >= 0) & (found.lists < rows)).all():
        raise UnusableIndex("is damaged")
    if _keys_digest(keys, slots) != about.get("keys"):
        raise UnusableIndex("is the index of another memory")
    return found


def _keys_digest(keys: Tensor, slots: Tensor) -> str:
    """Return the digest of slots [n] and their keys."""
    parts = slots.split(_AT_ONCE)
    return _digest(tensor for some in parts for tensor in (some, keys[some]))


def _digest(tensors: Iterable[Tensor]) -> str:
    """Return the SHA-256 of bytes, in hex."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
