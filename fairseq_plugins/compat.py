"""The one place that knows the quirks of fairseq, hydra, numpy and torch versions.

Importing it

- lets fairseq read its own checkpoints with torch's guard against malicious ones switched on,
  and says in one line what is wrong with a checkpoint that cannot be used;
- makes fairseq's moving average of weights (``--store-ema``) leave memories alone;
- lets fairseq add up gradients of several processes whatever their layout in memory;
- silences warnings about fairseq's own age, which its users cannot act upon.
"""

import argparse
import collections
import contextlib
import hashlib
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from fairseq import checkpoint_utils
from fairseq.distributed import LegacyDistributedDataParallel
from fairseq.distributed import utils as distributed_utils
from fairseq.file_io import PathManager
from fairseq.models import BaseFairseqModel
from fairseq.models.ema.ema import EMA
from numpy._core.multiarray import _reconstruct as rebuild_array
from omegaconf import AnyNode, DictConfig, ListConfig
from omegaconf.base import ContainerMetadata, Metadata
from torch import Tensor, nn

from fairseq_plugins import allocator
from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory.snapshot import SnapshotError


class InputError(ValueError):
    """Bad input. The message is one line: which file, what is wrong, and what to do about it."""


USER_ERRORS = (InputError, SnapshotError)  # memory/ knows nobody, and so has an error of its own

# --- Errors of one line ---------------------------------------------------------------------------


def one_line_errors() -> None:
    """Show the user's mistakes as one line on stderr instead of a traceback; the exit code is 1.

    These are ``USER_ERRORS``, also where fairseq wraps it in an exception of its own, and
    files that cannot be opened. Everything else keeps its traceback.
    """
    sys.excepthook = _report
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # else hydra prints errors in its own way


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, OSError) and (error.filename or not error.errno):
        where = f"{error.filename}: {error.strerror}" if error.filename else error
        sys.stderr.write(f"error: {where}\n")
        return
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, USER_ERRORS):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        sys.__excepthook__(kind, error, trace)
    else:
        sys.stderr.write(f"error: {cause}\n")


_program = Path(sys.argv[0])
if _program.name.startswith("fairseq-") or _program.parent.name == "fairseq_cli":
    one_line_errors()


# --- Checkpoints ----------------------------------------------------------------------------------

# torch.load makes only what is listed here, beside tensors and plain Python data.
HARMLESS: list[Any] = [
    argparse.Namespace,  # the configuration of fairseq's oldest architectures, such as `lstm`
    rebuild_array,  # the counts that --eval-bleu logs are integer arrays
    np.ndarray,
    np.dtype,
    np.dtypes.Int64DType,
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


@contextlib.contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Say in one line why ``torch.load`` or fairseq cannot read a checkpoint.

    Args:
        path: of the checkpoint that is read meanwhile.

    Raises:
        InputError: if it is damaged, or holds more than data.
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


def _readable_or_input_error(path: str, *args: Any, **kwargs: Any) -> dict:
    with reading(path):
        state = _load_checkpoint_to_cpu(path, *args, **kwargs)
        weights = state["model"]
    with contextlib.suppress(AttributeError):  # a plain dict has no room for it
        weights.path = path  # for the message when it turns out to fit no model
    return state


def _load_and_compare(cfg: Any, trainer: Any, **kwargs: Any) -> Any:
    """fairseq lets the task look at a checkpoint only if it goes on with the same data."""
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
    try:
        return _load_state_dict(self, state_dict, *args, **kw)
    except RuntimeError as error:
        path = getattr(state_dict, "path", "checkpoint")
        raise InputError(f"{path}: {misfit(self, state_dict)}") from error


_copy = PathManager.copy


def _copy_all_or_nothing(source: str, destination: str, overwrite: bool = False) -> bool:
    """fairseq writes checkpoint_last.pt as a copy, into which a kill must leave no gap."""
    if not PathManager.supports_rename(destination):
        return _copy(source, destination, overwrite)
    unfinished = f"{destination}.tmp"
    copied = bool(_copy(source, unfinished, overwrite=True))
    if copied:
        os.replace(unfinished, destination)
    return copied


PathManager.copy = staticmethod(_copy_all_or_nothing)
checkpoint_utils.load_checkpoint_to_cpu = _readable_or_input_error
checkpoint_utils.load_checkpoint = _load_and_compare
checkpoint_utils.load_ema_from_checkpoint = _ema_or_input_error
BaseFairseqModel.load_state_dict = _load_fitting_state_dict  # type: ignore[method-assign]


def misfit(model: nn.Module, state: Mapping[str, Tensor]) -> str:
    """Say what of a state dict does not fit a model, and what to do about it.

    Args:
        model: what was built from the configuration and the data.
        state: what the checkpoint holds.

    Returns:
        One line, the most telling difference: vocabulary, memory, or any other.
    """
    own = model.state_dict()
    differing = [k for k in own if k in state and own[k].shape != state[k].shape]
    dictionaries = (getattr(module, "dictionary", None) for module in model.modules())
    vocabularies = {len(dictionary) for dictionary in dictionaries if dictionary is not None}
    for name in differing:
        here, there = own[name].shape, state[name].shape
        if len(here) > 1 and here[0] in vocabularies and here[1:] == there[1:]:
            return (
                f"made for a vocabulary of {there[0]} entries, the data has {here[0]}; "
                "use the data folder with the dictionaries that it was trained with"
            )
    for prefix, module in model.named_modules():
        name = f"{prefix}.keys"
        if isinstance(module, KeyValueMemory) and name in differing:
            slots, dim = state[name].shape
            return (
                f"its memory has {slots} slots of {dim} numbers, the configuration says "
                f"{module.size} of {module.key_dim}; give --memory-size {slots} "
                f"--memory-key-dim {dim}, or another --save-dir to start afresh"
            )
    missing, unknown = [k for k in own if k not in state], [k for k in state if k not in own]
    problems = [
        f"{name} is {list(state[name].shape)} there and {list(own[name].shape)} here"
        for name in differing[:1]
    ]
    problems += [f"{names[0]} is only {where}, with {len(names) - 1} more"
                 for names, where in ((missing, "here"), (unknown, "there")) if names]  # fmt: skip
    return (
        f"holds another model ({'; '.join(problems)}); give the --arch and the sizes it was "
        "trained with, or another --save-dir to start afresh"
    )


class RemembersDictionaries:
    """For tasks: notes in every checkpoint which dictionaries it was made with.

    Dictionaries of the same size with other entries would otherwise go unnoticed, and translate
    to nonsense. To be named before the fairseq task it extends.
    """

    def state_dict(self) -> dict[str, Any]:
        """What fairseq keeps of a task in a checkpoint, and a digest of each dictionary."""
        return super().state_dict() | {"dictionaries": self._digests()}  # type: ignore[misc]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take what a checkpoint holds.

        Raises:
            InputError: if it was made with other dictionaries.
        """
        known = state.get("dictionaries", {})
        for name, digest in self._digests().items():
            if known.get(name, digest) != digest:
                raise InputError(self._differs(name, known[name]))
        rest = {name: part for name, part in state.items() if name != "dictionaries"}
        super().load_state_dict(rest)  # type: ignore[misc]

    def get_checkpoint_dict(self) -> dict[str, Any]:
        """The same for fairseq-train, which asks for it in another way."""
        return {type(self).__name__: {"dictionaries": self._digests()}}

    def set_checkpoint_dict(self, state: dict[str, Any]) -> None:
        """Called by fairseq-train when it resumes."""
        self.load_state_dict(state)

    def _digests(self) -> dict[str, str]:
        cfg: Any = self.cfg  # type: ignore[attr-defined]
        dictionaries = {
            cfg.source_lang: self.source_dictionary,  # type: ignore[attr-defined]
            cfg.target_lang: self.target_dictionary,  # type: ignore[attr-defined]
        }
        return {
            name: hashlib.sha256("\n".join(dictionary.symbols).encode()).hexdigest()
            for name, dictionary in dictionaries.items()
        }

    def _differs(self, name: str, known: str) -> str:
        return (
            f"dict.{name}.txt of the data is not the dictionary that the checkpoint was trained "
            "with; use the data folder that it was trained with"
        )


# --- Averages of weights --------------------------------------------------------------------------

_MEMORY_BUFFERS = [name for name, _ in KeyValueMemory(1, 1, 1).named_buffers()]


def memory_buffers(state: Mapping[str, Tensor]) -> list[dict[str, str]]:
    """Find the memories in a model's state dict, by having all buffers of one.

    Args:
        state: of a model, or what a checkpoint holds of it.

    Returns:
        For each memory its buffers' names (``keys``, ``values``, ...) -> their names in ``state``.
    """
    prefixes = [name.removesuffix("values") for name in state if name.endswith("values")]
    candidates = [{name: prefix + name for name in _MEMORY_BUFFERS} for prefix in prefixes]
    return [names for names in candidates if all(name in state for name in names.values())]


def not_averaged(state: Mapping[str, Tensor]) -> set[str]:
    """Names in a model's state dict of which the newest is right, and the average is nonsense.

    These are the memories (a slot's key belongs to its value, and slots change hands), and
    whatever else is not a real number, such as counters.
    """
    integers = {name for name, tensor in state.items() if not tensor.is_floating_point()}
    return integers.union(*(names.values() for names in memory_buffers(state)))


_init_ema = EMA.__init__


def _init_ema_without_memory(
    self: EMA, model: nn.Module, config: Any, device: Any = None, skip_keys: Iterable[str] = ()
) -> None:
    _init_ema(self, model, config, device, set(skip_keys) | not_averaged(model.state_dict()))


EMA.__init__ = _init_ema_without_memory


# --- Several processes ----------------------------------------------------------------------------

_all_reduce_grads = LegacyDistributedDataParallel.all_reduce_grads


def _all_reduce_grads_of_any_layout(self: LegacyDistributedDataParallel) -> None:
    """fairseq flattens gradients with ``view``, which those of channels_last weights have not."""
    for parameter in self.module.parameters():
        if parameter.grad is not None:
            parameter.grad = parameter.grad.contiguous()
    _all_reduce_grads(self)


LegacyDistributedDataParallel.all_reduce_grads = _all_reduce_grads_of_any_layout

# --- Noise ----------------------------------------------------------------------------------------

# fairseq calls hydra and torch in ways that they have since deprecated, and asks for pinned memory
# on machines without accelerator; torch's sparse matrices do all that is wanted of them.
for _message, _category in (
    (r"hydra\.experimental\.\w+\(\) is no longer experimental", UserWarning),
    (r"\nThe version_base parameter is not specified", UserWarning),
    (r"In '.*': Usage of deprecated keyword in package header", UserWarning),
    (r"\n'.*' is validated against ConfigStore schema", UserWarning),
    (r"\nThe strict flag in the compose API is deprecated", UserWarning),
    (r"'pin_memory' argument is set as true but no accelerator", UserWarning),
    (r"`torch\.cuda\.amp\.autocast\(args\.\.\.\)` is deprecated", FutureWarning),
    (r"Sparse CSR tensor support is in beta state", UserWarning),
):
    warnings.filterwarnings("ignore", message=_message, category=_category)
logging.getLogger("hydra").setLevel(logging.INFO)  # fairseq-interactive shows even its DEBUG lines


# --- Speed ----------------------------------------------------------------------------------------


def begin_task() -> None:
    """What every task does first, in whichever of fairseq's programs."""
    allocator.keep_freed_memory()
    forget_earlier_trainings()


def forget_earlier_trainings() -> None:
    """Forget the best checkpoint of trainings that this process did before.

    A sweep (``fairseq-hydra-train --multirun``) trains one model after another. fairseq keeps the
    best validation loss in attributes of functions, so that the second model would get no
    ``checkpoint_best.pt`` before it beat the first, and would lose patience early.
    """
    program = sys.modules.get("fairseq_cli.train")
    keepers = checkpoint_utils.save_checkpoint, getattr(program, "should_stop_early", None)
    for function in filter(None, keepers):
        vars(function).pop("best", None)
        vars(function).pop("num_runs", None)
