"""Reads, changes and writes fairseq's checkpoints without fairseq."""

import re
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf, open_dict

from fairseq_plugins.atomic import replacing
from fairseq_plugins.errors import InputError
from fairseq_plugins.patches.checkpoints import check_memories, reading
from fairseq_plugins.patches.memory_files import remove_others, without_memory

FOR_TRAINING = ("last_optimizer_state", "optimizer_history_state", "criterion", "ema")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU, protected against malicious files by torch.

    Args:
        path: of a file written by fairseq-train or one of our programs.

    Returns:
        Its contents: ``model``, ``cfg``, ``optimizer_history``, ``extra_state`` and more.

    Raises:
        InputError: if it is damaged, not a checkpoint, or contains more than data.
        OSError: if it cannot be opened.
    """
    with reading(path), path.open("rb") as file:
        state = torch.load(file, map_location="cpu", weights_only=True)
        num_updates(state), state["model"]
        check_memories(state, path)
    return state


def num_updates(state: dict[str, Any]) -> int:
    """Return the number of updates after which a checkpoint was written."""
    return state["optimizer_history"][-1]["num_updates"]


def fit_to_memory(cfg: DictConfig, size: int | None) -> None:
    """Adapt a configuration to a memory that was filled after training.

    Args:
        cfg: of a checkpoint.
        size: number of slots of the memory; None if unchanged.
    """
    with open_dict(cfg):
        if size is not None:
            cfg.model.memory_size = size
        if "memory_from_update" in cfg.model:
            cfg.model.memory_from_update = 0  # read the memory from the start


def for_use(state: dict[str, Any]) -> dict[str, Any]:
    """Return a checkpoint without what only training needs."""
    kept = {name: part for name, part in state.items() if name not in FOR_TRAINING}
    extra = {n: part for n, part in state.get("extra_state", {}).items() if not n.startswith("ema")}
    return kept | {"extra_state": extra, "last_optimizer_state": None}


def write_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write a checkpoint completely or not at all; with its memory beside it, if that is chosen.

    Args:
        state: as in :func:`read_checkpoint`; OmegaConf configurations become plain ones.
        path: of the file, which is replaced if it exists.

    Raises:
        OSError: if it cannot be written.
    """
    if isinstance(state.get("cfg"), DictConfig):
        plain = OmegaConf.to_container(state["cfg"], resolve=True, enum_to_str=True)
        state = state | {"cfg": plain}
    state = without_memory(state, path)
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        torch.save(state, file)
    remove_others(state, path)


def last_checkpoints(folder: Path, count: int) -> list[Path]:
    """Find the last checkpoints of a training.

    Args:
        folder: fairseq-train's --save-dir.
        count: number of checkpoints.

    Returns:
        Their paths, newest first: checkpoints of whole epochs (``checkpoint7.pt``) if there are
        any, otherwise those of --save-interval-updates (``checkpoint_2_1000.pt``).

    Raises:
        InputError: if there are fewer.
    """
    found: list[tuple[int, Path]] = []
    for pattern in (r"checkpoint(\d+)\.pt", r"checkpoint_\d+_(\d+)\.pt"):
        matches = ((re.fullmatch(pattern, path.name), path) for path in folder.iterdir())
        found = found or [(int(match[1]), path) for match, path in matches if match]
    if len(found) < count:
        raise InputError(
            f"{folder}: contains {len(found)} numbered checkpoints, not {count}; ask for fewer, or "
            f"train with --keep-last-epochs {count}"
        )
    return [path for _, path in sorted(found, reverse=True)[:count]]
