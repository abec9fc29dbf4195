"""Checks arguments as a whole, before one of fairseq's programs does any work with them.

Our own options declare what they allow (``modules/options.py``). This module checks options of
fairseq that would end in a traceback, or be silently ignored.
"""

import functools
import json
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from fairseq import utils
from fairseq.dataclass import initialize
from fairseq.dataclass.utils import merge_with_parent
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fairseq_plugins.errors import InputError
from fairseq_plugins.host import running
from fairseq_plugins.modules.options import Allowed, OneOf, Range, check, refusal
from fairseq_plugins.patches.overrides import check_overrides, literal, parts

LAST = "checkpoint_last.pt"  # value of --restore-file if it is not given
DRAWN = ("algorithmic", "omniglot")  # tasks whose examples do not come from a corpus
PIECES = ("@@ ", "subword_nmt", "sentencepiece", "wordpiece", "letter", "silence", "_EOW", "none")
ONE_OR_MORE, NONE_OR_MORE = Range(least=1), Range(least=0)

FAIRSEQ: Mapping[str, Mapping[str, Allowed]] = {
    "common": {"log_interval": ONE_OR_MORE, "seed": Range(least=0, most=2**32 - 1)},
    "dataset": {
        "batch_size": ONE_OR_MORE,
        "batch_size_valid": ONE_OR_MORE,
        "max_tokens": ONE_OR_MORE,
        "max_tokens_valid": ONE_OR_MORE,
        "num_shards": ONE_OR_MORE,
        "num_workers": Range(least=0, most=1024),
        "shard_id": NONE_OR_MORE,
        "validate_interval": ONE_OR_MORE,
        "validate_interval_updates": NONE_OR_MORE,
    },
    "optimization": {
        "clip_norm": NONE_OR_MORE,
        "lr": NONE_OR_MORE,
        "max_epoch": NONE_OR_MORE,
        "max_update": NONE_OR_MORE,
        "update_freq": ONE_OR_MORE,
    },
    "checkpoint": {
        "patience": Range(least=-1),
        "save_interval": ONE_OR_MORE,
        "save_interval_updates": NONE_OR_MORE,
    },
    "ema": {"ema_decay": Range(least=0, most=1)},
    "lr_scheduler": {"warmup_updates": NONE_OR_MORE},
    "task": {"max_source_positions": ONE_OR_MORE, "max_target_positions": ONE_OR_MORE},
    "generation": {
        "beam": ONE_OR_MORE,
        "nbest": ONE_OR_MORE,
        "lenpen": Range(),
        "max_len_a": NONE_OR_MORE,
        "max_len_b": NONE_OR_MORE,
        "min_len": NONE_OR_MORE,
        "temperature": Range(above=0),
        "unkpen": Range(),
    },
    "common_eval": {"post_process": OneOf(PIECES)},
}


def check_arguments(cfg: DictConfig) -> None:
    """Check the configuration of any of fairseq's programs.

    Args:
        cfg: the whole configuration; groups and options that a program lacks may be missing.

    Raises:
        InputError: names an option, its value, and what it may be.
    """
    for group, options in FAIRSEQ.items():
        for name, allowed in options.items():
            value = OmegaConf.select(cfg, f"{group}.{name}")
            for number in value if isinstance(value, ListConfig) else [value]:
                if number is not None and number not in allowed:
                    raise InputError(refusal(name, number, allowed))
    for part, kind in parts(cfg):
        check_part(part, kind)
    _check_encoders(cfg)
    _check_alignment(cfg)
    _check_number_format(cfg)
    if cfg.get("generation") is not None:
        _check_search(cfg.generation)
    check_overrides(cfg)


def check_part(options: Any, kind: type) -> None:
    """Check the options of a task, model or criterion against the declarations of its dataclass.

    Raises:
        InputError: names an option, its value, and what it may be.
    """
    try:
        whole = merge_with_parent(kind(), options) if OmegaConf.is_config(options) else options
        check(whole, kind)
    except (OmegaConfBaseException, ValueError) as error:
        raise InputError(str(error).splitlines()[0]) from error


def check_training(cfg: DictConfig) -> None:
    """Check the configuration of a training.

    Raises:
        InputError: if an argument is impossible, or names a checkpoint that does not exist.
    """
    check_arguments(cfg)
    _check_batches(cfg)
    _check_checkpoints(cfg.checkpoint)
    _check_texts(cfg)
    _check_schedule(cfg)
    _check_sharding(cfg)


def _check_encoders(cfg: DictConfig) -> None:
    """Check that what splits text into pieces has what it needs."""
    for group in ("bpe", "tokenizer"):
        part = cfg.get(group)
        for name in OmegaConf.missing_keys(part) if isinstance(part, DictConfig) else ():
            option = name.rpartition(".")[2].replace("_", "-")
            raise InputError(f"--{group} {part._name}: give --{option}")


def _check_search(cfg: DictConfig) -> None:
    """Check options of the beam search that do not go together."""
    if cfg.max_len_a == 0 and cfg.min_len > cfg.max_len_b:
        raise InputError(
            f"--min-len {cfg.min_len}: translations have at most --max-len-b {cfg.max_len_b} "
            "tokens; give a smaller --min-len or a larger --max-len-b"
        )
    if cfg.diverse_beam_groups > 0 and cfg.beam % cfg.diverse_beam_groups:
        raise InputError(
            f"--diverse-beam-groups {cfg.diverse_beam_groups}: does not divide --beam {cfg.beam}"
        )


def _check_alignment(cfg: DictConfig) -> None:
    """Reject soft alignments, which fairseq-interactive mistakes for hard ones, and crashes."""
    soft = OmegaConf.select(cfg, "generation.print_alignment") == "soft"
    if soft and Path(running()).stem in ("fairseq-interactive", "interactive"):
        raise InputError(
            "--print-alignment soft: fairseq-interactive prints hard alignments only; give "
            "--print-alignment hard, or use fairseq-generate"
        )


def _check_batches(cfg: DictConfig) -> None:
    if cfg.dataset.batch_size is not None:
        return
    if OmegaConf.select(cfg, "task._name") in DRAWN:
        raise InputError("this task draws its examples in batches: give --batch-size")
    if cfg.dataset.max_tokens is None:
        raise InputError("the size of a batch is not given: give --batch-size or --max-tokens")


def _check_number_format(cfg: DictConfig) -> None:
    tpu, fp16, cpu = (OmegaConf.select(cfg, f"common.{name}") for name in ("tpu", "fp16", "cpu"))
    if tpu and find_spec("torch_xla") is None:
        raise InputError(
            "--bf16: fairseq uses this for TPUs, and torch_xla is not installed; give --autocast "
            "bfloat16 instead"
        )
    if fp16 and (cpu or not torch.cuda.is_available()):
        raise InputError(
            "--fp16: fairseq computes in float16 on GPUs only; leave it out, or give --autocast "
            "bfloat16 where it is native"
        )


def _check_checkpoints(cfg: DictConfig) -> None:
    restore, begin = cfg.restore_file, cfg.finetune_from_model
    if not cfg.save_dir:
        raise InputError("--save-dir: an empty name; write . for the current folder")
    if restore != LAST and not Path(restore).is_file():
        raise InputError(
            f"--restore-file {restore}: no such file; name a checkpoint, or leave the option out "
            f"to resume from {LAST} in --save-dir, if there is one"
        )
    if begin is None:
        return
    others = ["restore_file"] if restore != LAST else []
    others += [str(name) for name in cfg if str(name).startswith("reset_") and cfg[name]]
    if others:
        names = " ".join("--" + name.replace("_", "-") for name in others)
        raise InputError(f"--finetune-from-model cannot be combined with {names}; give one")
    if not Path(begin).is_file() and not Path(cfg.save_dir, LAST).exists():
        raise InputError(f"--finetune-from-model {begin}: no such file; name a checkpoint")


def _check_texts(cfg: DictConfig) -> None:
    """Check texts that fairseq reads as Python or JSON without checking them."""
    betas = OmegaConf.select(cfg, "optimizer.adam_betas")
    if isinstance(betas, str) and not _are_betas(betas):
        raise InputError(
            f"--adam-betas {betas}: must be two numbers of at least 0 and below 1: '(0.9, 0.98)'"
        )
    for name in ("eval_bleu_args", "eval_bleu_detok_args"):
        text = OmegaConf.select(cfg, f"task.{name}")
        if text is not None and not _is_object(text):
            option = name.replace("_", "-")
            raise InputError(f"--{option} {text}: must be an object of JSON: '{{\"beam\": 4}}'")


def _are_betas(text: str) -> bool:
    betas = literal(text)
    numbers = isinstance(betas, tuple | list) and len(betas) == 2
    return numbers and all(isinstance(b, int | float) and 0 <= b < 1 for b in betas)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _check_schedule(cfg: DictConfig) -> None:
    """Check what fairseq takes the first element of, or divides by."""
    if not len(cfg.optimization.lr):
        raise InputError("--lr: give a learning rate")
    schedule = cfg.lr_scheduler
    name = schedule.get("_name") if isinstance(schedule, DictConfig) else None
    if name == "inverse_sqrt" and schedule.warmup_updates < 1:
        raise InputError("--lr-scheduler inverse_sqrt: give --warmup-updates 1 or more")
    if name == "tri_stage":
        _check_stages(cfg, schedule)


def _check_stages(cfg: DictConfig, schedule: DictConfig) -> None:
    """Check the last stage of ``tri_stage``: fairseq divides by its length."""
    ratio = schedule.get("phase_ratio")
    if ratio is not None and int(cfg.optimization.max_update * ratio[2]) < 1:
        raise InputError(
            f"--max-update {cfg.optimization.max_update}: too few for --phase-ratio {ratio}, whose "
            "last stage would have no updates; give more"
        )
    if ratio is None and schedule.get("decay_steps", 0) < 1:
        raise InputError("--lr-scheduler tri_stage: give --decay-steps 1 or more, or --phase-ratio")


def _check_sharding(cfg: DictConfig) -> None:
    """Check that a memory can be divided among the processes of a training."""
    model = cfg.get("model")
    if not isinstance(model, DictConfig) or not model.get("memory_sharded"):
        return
    if OmegaConf.select(cfg, "ema.ema_fp32"):
        raise InputError("--memory-sharded cannot be combined with --ema-fp32; give one")
    processes = OmegaConf.select(cfg, "distributed_training.distributed_world_size") or 1
    if model.memory_size < processes:
        raise InputError(
            f"--memory-size {model.memory_size}: too few slots for --memory-sharded in {processes} "
            "processes; give more"
        )


_import_user_module = utils.import_user_module
_add_defaults = initialize.add_defaults


@functools.wraps(_import_user_module)
def _import_and_check(args: Any) -> None:
    """Check a part of the configuration; all programs call this first."""
    _import_user_module(args)
    if isinstance(args, DictConfig):
        check_arguments(args._get_root())  # type: ignore[arg-type]


@functools.wraps(_add_defaults)
def _complete_and_check(cfg: DictConfig) -> None:
    """Check the whole configuration; trainings call this next, and hydra imports us only now."""
    try:
        _add_defaults(cfg)
    except OmegaConfBaseException as error:  # no such option, or of another type
        raise InputError(str(error).splitlines()[0]) from error
    check_training(cfg)


utils.import_user_module = _import_and_check
for _module in ("fairseq.dataclass.initialize", "fairseq_cli.train", "__main__"):
    if getattr(sys.modules.get(_module), "add_defaults", None) is _add_defaults:
        sys.modules[_module].add_defaults = _complete_and_check  # type: ignore[attr-defined]
