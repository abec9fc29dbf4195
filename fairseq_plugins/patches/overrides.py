"""Overrides of the options in a checkpoint: ``--model-overrides``.

fairseq replaces the values of options by their names, wherever these are in the configuration of a
checkpoint. It ignores all other names: misspelt ones, and those of options that are newer than the
checkpoint.
"""

import argparse
import ast
import difflib
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from fairseq import utils
from fairseq.criterions import CRITERION_DATACLASS_REGISTRY, CRITERION_REGISTRY
from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_DATACLASS_REGISTRY
from fairseq.tasks import TASK_DATACLASS_REGISTRY, TASK_REGISTRY
from omegaconf import DictConfig, OmegaConf, open_dict

from fairseq_plugins.errors import InputError
from fairseq_plugins.modules.options import Allowed, declared, refusal

# Parts of a configuration that a checkpoint determines: their dataclasses, and their classes.
DATACLASSES: Mapping[str, Mapping[str, type]] = {
    "task": TASK_DATACLASS_REGISTRY,
    "model": MODEL_DATACLASS_REGISTRY,
    "criterion": CRITERION_DATACLASS_REGISTRY,
}
CLASSES: Mapping[str, Mapping[str, Any]] = {
    "task": TASK_REGISTRY,
    "arch": ARCH_MODEL_REGISTRY,
    "criterion": CRITERION_REGISTRY,
}


def parts(cfg: Mapping[str, Any]) -> Iterator[tuple[DictConfig, type]]:
    """Yield task, model and criterion, each with its dataclass; old-style ones have none."""
    for group, kinds in DATACLASSES.items():
        part = cfg.get(group)
        if isinstance(part, DictConfig) and (kind := kinds.get(part.get("_name"))):
            yield part, kind


def override_newer_options(cfg: Mapping[str, Any], overrides: Mapping[str, Any]) -> None:
    """Apply overrides of options that are newer than a checkpoint, in place.

    Args:
        cfg: of the checkpoint.
        overrides: values by name; names of no option are ignored.

    Raises:
        InputError: if an option does not allow the value of an override.
    """
    for part, kind in parts(cfg):
        for name, allowed in declared(kind):
            if name in overrides and not _is_allowed(overrides[name], allowed):
                raise InputError(refusal(name, overrides[name], allowed))
        known = kind.__dataclass_fields__  # type: ignore[attr-defined]
        with open_dict(part):
            part.update({n: v for n, v in overrides.items() if n in known and n not in part})


def _is_allowed(value: Any, allowed: Allowed) -> bool:
    try:
        return value in allowed
    except TypeError:  # a text instead of a number
        return False


def check_overrides(cfg: DictConfig) -> None:
    """Check that every name in ``--model-overrides`` belongs to an option of a checkpoint.

    With an ensemble or a language model, it may belong to any of the checkpoints.

    Args:
        cfg: of a program that is about to load them; options that it lacks may be missing.

    Raises:
        InputError: names what is not a dict, or the names and those closest to them.
    """
    text = OmegaConf.select(cfg, "common_eval.model_overrides")
    if text is None:
        return
    overrides = literal(text)
    if not isinstance(overrides, dict):
        raise InputError(f"--model-overrides {text}: must be a dict of Python: {{'dropout': 0}}")
    path, more = (OmegaConf.select(cfg, n) for n in ("common_eval.path", "generation.lm_path"))
    if not overrides or not path:
        return
    known: set[str] = set()
    for checkpoint in [*utils.split_paths(path), *([more] if more else [])]:
        names = _names_in_checkpoint(checkpoint)
        if names is None:
            return
        known |= names
    unknown = [str(name) for name in _names_of(overrides) if name not in known]
    closest = [difflib.get_close_matches(one, sorted(known), 1, cutoff=0.0) for one in unknown]
    if unknown:
        found = zip(unknown, closest, strict=True)
        raise InputError(
            f"--model-overrides: {path} has no option of its model, task or criterion named "
            + ", ".join(f"{name} (the closest is {' '.join(near)})" for name, near in found)
        )


def literal(text: str) -> Any:
    """Return the constant of Python that a text is; None if it is none."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _names_of(overrides: Mapping[Any, Any]) -> Iterator[Any]:
    """Yield the names of options in overrides, which may be grouped by part."""
    for name, value in overrides.items():
        if name in DATACLASSES and isinstance(value, dict):
            yield from value
        else:
            yield name


def _names_in_checkpoint(path: str) -> set[str] | None:
    """Return the names of the options of a checkpoint's task, model and criterion.

    Returns:
        None if the file cannot be read; loading it says why.
    """
    try:
        # Weights are mapped, not read, except in files of torch 1.5 and older.
        state = torch.load(path, "cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
        cfg = state.get("cfg") or dict.fromkeys(DATACLASSES, state["args"])
        return set().union(*(_names_in(cfg[group], group) for group in DATACLASSES))
    except Exception:
        return None


def _names_in(part: Any, group: str) -> set[str]:
    """Return the names of all options in a part of a configuration, and in parts within it."""
    if isinstance(part, argparse.Namespace):  # of older architectures and checkpoints
        return {*vars(part), *_declared_on_command_line(part)}
    if not isinstance(part, Mapping):
        return set()
    kind = DATACLASSES[group].get(part.get("_name", ""))
    own = {*part, *getattr(kind, "__dataclass_fields__", ())}
    return own.union(*(_names_in(inner, group) for inner in part.values()))


def _declared_on_command_line(options: argparse.Namespace) -> set[str]:
    """Return the names of the options that old-style classes declare."""
    names: set[str] = set()
    for group, classes in CLASSES.items():
        kind = classes.get(getattr(options, group, ""))
        if kind is not None:
            parser = argparse.ArgumentParser(add_help=False)
            kind.add_args(parser)
            names |= {action.dest for action in parser._actions}
    return names
