"""Fingerprints that show whether two models make the same queries."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fairseq_plugins.memory.key_value_memory import KeyValueMemory


def model_fingerprint(module: nn.Module) -> str:
    """Return a fingerprint that identifies models with the same queries.

    Keys are meaningful only to the weights that computed them. The fingerprint is the SHA-256 of
    names, types, shapes and bytes in the module's state dict: parameters and persistent buffers.
    Two things are left out: memories, and what acts on answers only, which modules list in an
    attribute ``after_query`` (prefixes of names). So a reader whose trust in its memory was
    calibrated still makes the same queries, and has the same fingerprint.

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
    """Compute :func:`model_fingerprint` from a state dict alone, as in a checkpoint.

    Args:
        state: of the model.
        left_out: prefixes of the names to leave out.

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
