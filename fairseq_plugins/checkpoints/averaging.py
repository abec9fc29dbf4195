"""Averages several checkpoints of a model, which translates better than each of them.

Weights are averaged. Memories are not, because their slots have different contents in every
checkpoint: the newest one is kept. Its keys were computed with the newest weights, not with the
averaged ones; :mod:`fairseq_plugins.teaching.fill` can compute them again.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm import tqdm

from fairseq_plugins.checkpoints.files import num_updates, read_checkpoint
from fairseq_plugins.errors import InputError
from fairseq_plugins.patches.averages import not_averaged

logger = logging.getLogger(__name__)


def average_checkpoints(paths: Sequence[Path], ema: bool = False) -> dict[str, Any]:
    """Average the weights of checkpoints, in float64.

    Args:
        paths: at least one.
        ema: whether to average the moving averages of --store-ema instead of the weights.

    Returns:
        A checkpoint for inference or fine-tuning: the averaged weights; memories, integer buffers
        and everything else from the checkpoint with the most updates; no optimizer state.

    Raises:
        InputError: if checkpoints contain different models, or no moving average.
        OSError: if one cannot be opened.
    """
    newest: dict[str, Any] = {}
    newest_path = paths[0]
    sums: dict[str, Tensor] = {}
    for path in tqdm(paths, "Average", unit=" checkpoints", disable=None):
        state = read_checkpoint(path)
        weights = _weights(state, path, ema)
        if not newest:
            kept = not_averaged(weights)
            sums = {name: weights[name].double() for name in weights if name not in kept}
        else:
            _check_same_model(newest["model"], weights, newest_path, path)
            for name, total in sums.items():
                total += weights[name]
        if not newest or num_updates(state) > num_updates(newest):
            newest, newest_path = state, path
    model = newest["model"]
    averages = {name: (total / len(paths)).to(model[name].dtype) for name, total in sums.items()}
    _share_as_before(averages, model)
    model.update(averages)
    for key in ("ema", "ema_fp32_params"):
        newest["extra_state"].pop(key, None)
    newest.pop("last_optimizer_state", None)
    logger.info("Averaged %d checkpoints; the newest is %s", len(paths), newest_path)
    return newest


def _weights(state: dict[str, Any], path: Path, ema: bool) -> dict[str, Tensor]:
    if not ema:
        return state["model"]
    if "ema" not in state["extra_state"]:
        raise InputError(f"{path}: holds no moving average; train with --store-ema")
    return state["extra_state"]["ema"]


def _check_same_model(
    first: dict[str, Tensor], other: dict[str, Tensor], first_path: Path, path: Path
) -> None:
    """Check that names, and shapes of what is averaged, are the same."""
    for name in [*first, *other]:
        if name not in first or name not in other:
            owner = first_path if name in first else path
            raise InputError(
                f"{path}: not the same model as {first_path}: only {owner} has {name}; "
                "average checkpoints of one training"
            )
        if first[name].shape != other[name].shape:
            raise InputError(
                f"{path}: not the same model as {first_path}: {name} is "
                f"{list(other[name].shape)} here and {list(first[name].shape)} there; "
                "average checkpoints of one training"
            )


def _share_as_before(averages: dict[str, Tensor], model: dict[str, Tensor]) -> None:
    """Let names that shared a tensor, such as tied embeddings, share its average."""
    owners: dict[int, str] = {}
    for name in averages:
        owner = owners.setdefault(model[name].data_ptr(), name)
        averages[name] = averages[owner]
