"""fairseq's checkpoints: loads them with torch's protection, and rejects them in one line."""

import argparse
import collections
import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fairseq import checkpoint_utils
from fairseq.distributed import utils as distributed_utils
from fairseq.models import BaseFairseqModel
from fairseq.trainer import Trainer
from numpy._core.multiarray import _reconstruct as rebuild_array
from omegaconf import AnyNode, DictConfig, ListConfig
from omegaconf.base import ContainerMetadata, Metadata
from torch import Tensor, nn

from fairseq_plugins.errors import InputError
from fairseq_plugins.memory import KeyValueMemory, memories_in
from fairseq_plugins.memory.state import memory_buffers, upgrade_memories
from fairseq_plugins.memory.terms import terms_fault
from fairseq_plugins.patches.dictionaries import RemembersDictionaries
from fairseq_plugins.patches.memory_files import index_beside, models_in, with_memory
from fairseq_plugins.patches.overrides import override_newer_options

# torch.load creates only these, in addition to tensors and plain Python data.
HARMLESS: list[Any] = [
    argparse.Namespace,  # the configuration of fairseq's oldest architectures, such as `lstm`
    rebuild_array,  # the counts that --eval-bleu logs are arrays
    np.ndarray,
    np.dtype,
    np.dtypes.Int64DType,
    np.dtypes.Float64DType,  # with several workers
    # With several workers, the first one sends the others what it has read and parsed:
    DictConfig,
    ListConfig,
    AnyNode,
    Metadata,
    ContainerMetadata,
    Any,
    collections.defaultdict,
    dict,
    list,
    int,
    distributed_utils._TensorPlaceholder,
]
torch.serialization.add_safe_globals(HARMLESS)

_load_checkpoint_to_cpu = checkpoint_utils.load_checkpoint_to_cpu
_load_checkpoint = checkpoint_utils.load_checkpoint
_load_ema_from_checkpoint = checkpoint_utils.load_ema_from_checkpoint
_load_state_dict = BaseFairseqModel.load_state_dict
_load_into_trainer = Trainer.load_checkpoint


@contextlib.contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Report in one line why ``torch.load`` or fairseq cannot read a checkpoint.

    Args:
        path: of the checkpoint that is read within the context.

    Raises:
        InputError: if it is damaged, or contains more than data.
        OSError: if it cannot be opened.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, InputError) or (isinstance(error, OSError) and error.filename):
            raise
        message = str(error) or type(error).__name__
        banned = re.search(r"GLOBAL (\S+) (?:was not an allowed|whose module)", message)
        if banned:
            raise InputError(
                f"{path}: refused, because loading it would run {banned.group(1)}, and a "
                "checkpoint is data, not code; use only checkpoints from people you trust"
            ) from error
        reason = message.rpartition("WeightsUnpickler error: ")[2].splitlines()[0].strip()
        raise InputError(
            f"{path}: damaged, cut short, or not a checkpoint of fairseq ({reason}); "
            "copy it again, or go back to an earlier checkpoint"
        ) from error


def check_memories(state: dict[str, Any], path: str | Path) -> None:
    """Complete a checkpoint with its memory, and upgrade memories to the newest layout, in place.

    Raises:
        InputError: if one of them is missing or damaged.
    """
    models = models_in(state)
    try:
        for weights in models:
            upgrade_memories(weights)
        with_memory(state, path)  # which checks it: a large one should be read once
        for weights in models:
            _check_others(weights)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(
            f"{path}: its memory is damaged ({error}); go back to an earlier checkpoint"
        ) from error


def _choose_search(state: dict[str, Any]) -> None:
    """Let a checkpoint from when exact search was the only one be searched as it is now usual."""
    model = getattr(state.get("cfg"), "model", None)
    if isinstance(model, DictConfig) and "memory_search" in model and "memory_recall" not in model:
        model.memory_search = "auto"


def _check_others(weights: Mapping[str, Any]) -> None:
    """Raise ValueError if the tensors beside the memories are not what they should be."""
    for name, entry in weights.items():
        if not isinstance(entry, Tensor) and not name.endswith("_extra_state"):
            raise ValueError(f"{name} is not a tensor")
    for names in memory_buffers(weights):
        if reason := terms_fault(weights, len(weights[names["recent"]])):
            raise ValueError(reason)


def _readable_or_input_error(
    path: str, arg_overrides: dict[str, Any] | None = None, *args: Any, **kwargs: Any
) -> dict:
    with reading(path):
        state = _load_checkpoint_to_cpu(path, arg_overrides, *args, **kwargs)
        weights = state["model"]
        check_memories(state, path)
        if "memory_search" not in (arg_overrides or {}):
            _choose_search(state)
        override_newer_options(state.get("cfg") or {}, arg_overrides or {})
    if type(weights) is dict:  # which has no attributes
        state["model"] = weights = collections.OrderedDict(weights)
    weights.path = path
    return state


def _load_and_compare(cfg: Any, trainer: Any, **kwargs: Any) -> Any:
    """Let the task check a checkpoint, which fairseq allows only when it resumes the same data."""
    extra_state, epochs = _load_checkpoint(cfg, trainer, **kwargs)
    if extra_state and isinstance(trainer.task, RemembersDictionaries):
        trainer.task.set_checkpoint_dict(extra_state.get(type(trainer.task).__name__, {}))
    return extra_state, epochs


def _ema_or_input_error(path: str) -> dict:
    with reading(path):
        try:
            return _load_ema_from_checkpoint(path)
        except KeyError as error:
            message = f"{path}: holds no moving average; train with --store-ema"
            raise InputError(message) from error


def _load_fitting_state_dict(self: BaseFairseqModel, state_dict: Any, *args: Any, **kw: Any) -> Any:
    """Load weights, and let memories use the index beside the checkpoint that they are from."""
    path = getattr(state_dict, "path", None)
    try:
        loaded = _load_state_dict(self, state_dict, *args, **kw)
    except RuntimeError as error:
        raise InputError(f"{path or 'checkpoint'}: {misfit(self, state_dict)}") from error
    if path is not None:
        for memory in memories_in(self):
            memory.read_index(index_beside(Path(path)))
    return loaded


def _load_into_trainer_or_input_error(self: Trainer, filename: str, *args: Any, **kw: Any) -> Any:
    """Report why weights do not fit, which fairseq hides, and which optimizer state does not."""
    try:
        return _load_into_trainer(self, filename, *args, **kw)
    except Exception as error:
        if isinstance(error.__context__, InputError):  # "Cannot load model parameters ..."
            raise error.__context__ from None
        if isinstance(error, ValueError) and "parameter group" in str(error):
            raise InputError(
                f"{filename}: was trained with other parameters, for instance with "
                "--share-all-embeddings and now without; give the options it was trained with, "
                "--reset-optimizer to load only its weights, or another --save-dir to start again"
            ) from error
        if isinstance(error, AssertionError):  # of another criterion or optimizer
            raise InputError(f"{filename}: {error}") from error
        raise


checkpoint_utils.load_checkpoint_to_cpu = _readable_or_input_error
checkpoint_utils.load_checkpoint = _load_and_compare
checkpoint_utils.load_ema_from_checkpoint = _ema_or_input_error
Trainer.load_checkpoint = _load_into_trainer_or_input_error
BaseFairseqModel.load_state_dict = _load_fitting_state_dict  # type: ignore[method-assign]


def misfit(model: nn.Module, state: Mapping[str, Tensor]) -> str:
    """Return what in a state dict does not fit a model, and what to do about it.

    Args:
        model: built from the configuration and the data.
        state: from the checkpoint.

    Returns:
        One line with the most telling difference: vocabulary, memory, or any other.
    """
    own = {name: tuple(entry.shape) for name, entry in model.state_dict().items()}
    # A memory may be divided among processes; in a checkpoint it is whole.
    memories = {
        f"{prefix}.keys": (module.size, module.key_dim)
        for prefix, module in model.named_modules()
        if isinstance(module, KeyValueMemory)
    }
    own |= memories
    differing = [k for k in own if k in state and own[k] != tuple(state[k].shape)]
    dictionaries = (getattr(module, "dictionary", None) for module in model.modules())
    vocabularies = {len(dictionary) for dictionary in dictionaries if dictionary is not None}
    for name in differing:
        here, there = own[name], tuple(state[name].shape)
        if len(here) > 1 and here[0] in vocabularies and here[1:] == there[1:]:
            return (
                f"made for a vocabulary of {there[0]} entries, but the data has {here[0]}; "
                "use the data folder with the dictionaries that it was trained with"
            )
    for name in memories.keys() & set(differing):
        (slots, dim), (size, key_dim) = state[name].shape, memories[name]
        return (
            f"its memory has {slots} slots of width {dim}, but the configuration has {size} of "
            f"{key_dim}; give --memory-size {slots} --memory-key-dim {dim}, or another --save-dir "
            "to start again"
        )
    missing, unknown = [k for k in own if k not in state], [k for k in state if k not in own]
    problems = [
        f"{name} is {list(state[name].shape)} there and {list(own[name])} here"
        for name in differing[:1]
    ]
    problems += [f"{names[0]} is only {where}, with {len(names) - 1} more"
                 for names, where in ((missing, "here"), (unknown, "there")) if names]  # fmt: skip
    return (
        f"contains another model ({'; '.join(problems)}); give the --arch and the sizes it was "
        "trained with, or another --save-dir to start again"
    )
