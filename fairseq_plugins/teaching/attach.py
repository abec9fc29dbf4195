"""Attaches an empty memory to a trained translator, which keeps its weights.

The result is a checkpoint of ``--arch remembering`` (``models/remembering.py``). Its queries are an
affine function of the decoder's features, fitted to the training text
(:mod:`~fairseq_plugins.teaching.queries`).
"""

import argparse
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from fairseq import checkpoint_utils, tasks
from omegaconf import DictConfig, OmegaConf, open_dict

from fairseq_plugins import allocator
from fairseq_plugins.autocast import AUTO
from fairseq_plugins.checkpoints.files import for_use
from fairseq_plugins.errors import InputError
from fairseq_plugins.memory.state import memory_buffers
from fairseq_plugins.models.remembering import (
    Features,
    RememberingConfig,
    build_base,
    features_dim,
)
from fairseq_plugins.teaching.loaded_checkpoint import Corpus, LoadedCheckpoint
from fairseq_plugins.teaching.queries import KEEPS_WIDTH, QueryReport, fit_queries

PLAIN = (str, int, float, bool, type(None), list, tuple, dict)  # what a configuration may contain
TRANSLATION, OURS = "translation", "translation_memory"


@dataclass(frozen=True)
class Attaching:
    """How to attach a memory.

    Attributes:
        data: folder written by fairseq-preprocess, with the training text.
        query: how queries follow from features, one of ``queries.QUERIES``.
        split: part of the data to fit queries to.
        query_tokens: number of target tokens to fit queries to, at most.
        train_updates: for ``trained``: number of updates.
        memory_size: number of slots.
        memory_key_dim: width of the keys for queries that may be narrower than the features.
        memory_neighbors: k.
        memory_gate: what the gate depends on, one of ``memory_reader.GATES``.
        alignment_layer: see :class:`~fairseq_plugins.models.remembering.RememberingConfig`.
        max_tokens: maximum number of target tokens in a batch.
        seed: of the order of batches.
        autocast: number format of the network's products, a name in ``autocast.CHOICES``.
    """

    data: Path
    query: str = "trained"
    split: str = "train"
    query_tokens: int = 100_000
    train_updates: int = 100
    memory_size: int = 8192
    memory_key_dim: int = 128
    memory_neighbors: int = 32
    memory_gate: str = "state"
    alignment_layer: int = -1
    max_tokens: int = 4000
    seed: int = 1
    autocast: str = AUTO


@dataclass(frozen=True)
class Attached:
    """Summary of attaching a memory."""

    output: Path
    architecture: str
    """Architecture of the base."""
    features: int
    """Their width."""
    query: QueryReport

    def __str__(self) -> str:
        """Return lines for people."""
        features = f"{self.architecture} with {self.features} features"
        return f"{features}; {self.query}\nWrote {self.output}"


def attach(path: Path, output: Path, how: Attaching, device: str = "cpu") -> Attached:
    """Write a checkpoint of the same translator with an empty memory.

    Args:
        path: checkpoint of an encoder-decoder that fairseq trained.
        output: checkpoint to write, completely or not at all.
        how: to attach the memory.
        device: to compute on.

    Returns:
        A summary.

    Raises:
        InputError: if the checkpoint or the data is unusable, or the model cannot have a memory.
    """
    allocator.keep_freed_memory()
    torch.manual_seed(how.seed)
    state = for_use(checkpoint_utils.load_checkpoint_to_cpu(str(path)))
    if memory_buffers(state["model"]):
        raise InputError(f"{path}: already has a memory; fill it with `fairseq-memory fill`")
    base = _plain(state["cfg"].model)
    width = _attach(path, state, base, how)
    corpus = Corpus(how.data, how.max_tokens, how.seed)
    loaded = LoadedCheckpoint(path, corpus, None, device, how.autocast, state)
    report = fit_queries(loaded, how.query, how.split, how.query_tokens, how.train_updates)
    loaded.save(output)
    return Attached(output, base["_name"], width, report)


def _attach(path: Path, state: dict[str, Any], base: dict[str, Any], how: Attaching) -> int:
    """Replace model and configuration in a checkpoint by those with a memory.

    Returns:
        The width of the features.
    """
    task_cfg = state["cfg"].task.copy()
    task_cfg.data = str(how.data)
    task = tasks.setup_task(task_cfg)
    old = build_base(OmegaConf.create(base), task)
    old.load_state_dict(state["model"], model_cfg=state["cfg"].model)
    unknown = [name for name in old.state_dict() if not name.startswith(("encoder.", "decoder."))]
    if unknown:
        raise InputError(f"{path}: {unknown[0]} belongs to neither its encoder nor its decoder; "
                         "give a checkpoint of a translator")  # fmt: skip
    width = features_dim(old.encoder, Features(old.decoder, how.alignment_layer))
    cfg = _configuration(state["cfg"], base, how, width)
    new: Any = task.build_model(OmegaConf.create(cfg))
    new.encoder.base.load_state_dict(old.encoder.state_dict())
    new.decoder.base.load_state_dict(old.decoder.state_dict())
    state["model"] = new.state_dict()
    with open_dict(state["cfg"]):
        state["cfg"].model = cfg
        if state["cfg"].task._name == TRANSLATION:
            state["cfg"].task._name = OURS
    return width


def _configuration(
    whole: DictConfig, base: dict[str, Any], how: Attaching, width: int
) -> dict[str, Any]:
    """Return the configuration of the model."""
    given = {field.name: getattr(how, field.name) for field in fields(Attaching)}
    cfg = asdict(RememberingConfig())
    cfg |= {name: value for name, value in given.items() if name in cfg}
    if how.query in KEEPS_WIDTH:
        cfg["memory_key_dim"] = width
    cfg["memory_key_dim"] = min(cfg["memory_key_dim"], width)
    cfg["seed"] = whole.common.seed
    return cfg | {"_name": "remembering", "base": base}


def _plain(model: Any) -> dict[str, Any]:
    """Return the configuration of a model, of a dataclass or of an older ``--arch``, as a dict."""
    if isinstance(model, argparse.Namespace):
        options: Any = vars(model)
    else:
        options = OmegaConf.to_container(model, resolve=True, enum_to_str=True)
    return {name: value for name, value in options.items() if isinstance(value, PLAIN)}
