"""Fingerprints: whether two models ask a memory the same questions."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fairseq_plugins.memory.key_value_memory import KeyValueMemory


def model_fingerprint(module: nn.Module) -> str:
    """Tell models apart whose queries differ.

    Keys are only meaningful to the weights that made them. The fingerprint is the SHA-256 of
    names, types, shapes and bytes of what is in the module's state dict: parameters and persistent
    buffers. Two things are left out: the memories, and what its modules name as acting on answers
    alone, in an attribute ``after_query`` (beginnings of names). So a reader whose trust in its
    memory was calibrated still asks the same questions, and has the same fingerprint.

    Args:
        module: the model.

    Returns:
        64 hexadecimal digits.
    """
    left_out: list[str] = []
    for name, part in module.named_modules(remove_duplicate=False):
        prefix = f"{name}." if name else ""
        if isinstance(part, KeyValueMemory):
            left_out.append(prefix)
        left_out += [prefix + own for own in getattr(part, "after_query", ())]
    return weights_fingerprint(module.state_dict(), left_out)


def weights_fingerprint(state: Mapping[str, Any], left_out: Iterable[str]) -> str:
    """:func:`model_fingerprint` from a state dict alone, as a checkpoint holds it.

    Args:
        state: of the model.
        left_out: beginnings of the names that do not count.

    Returns:
        64 hexadecimal digits.
    """
    beginnings = tuple(left_out)
    return tensors_digest(
        (name, entry)
        for name, entry in state.items()
        if isinstance(entry, Tensor) and not name.startswith(beginnings)
    )


def tensors_digest(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """Return the SHA-256 of names, types, shapes and bytes, in the order of the names, in hex."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors, key=lambda entry: entry[0]):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().reshape(-1).contiguous()
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()
