"""Every numeric option of ours is accepted and works, or is refused in one line; so are fairseq's
where they would end in a traceback.
"""

import math
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fairseq import options
from fairseq.criterions import CRITERION_DATACLASS_REGISTRY, CRITERION_REGISTRY
from fairseq.dataclass.configs import GenerationConfig
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_DATACLASS_REGISTRY
from fairseq.tasks import TASK_DATACLASS_REGISTRY, TASK_REGISTRY
from omegaconf import OmegaConf

import fairseq_plugins
from fairseq_plugins.data.omniglot import OmniglotImages
from fairseq_plugins.errors import InputError
from fairseq_plugins.memory import memories_in
from fairseq_plugins.models.remembering import RememberingConfig
from fairseq_plugins.modules.options import declared
from fairseq_plugins.patches.arguments import FAIRSEQ, check_arguments, check_part, check_training
from tests.tiny_models import base_configuration

HARD = (0, -1, math.nan, math.inf, 10**12)
KINDS = {
    **{("task", name): kind for name, kind in TASK_DATACLASS_REGISTRY.items()},
    **{("model", name): kind for name, kind in MODEL_DATACLASS_REGISTRY.items()},
    **{("criterion", name): kind for name, kind in CRITERION_DATACLASS_REGISTRY.items()},
}
OURS = {key: kind for key, kind in KINDS.items() if kind.__module__.startswith("fairseq_plugins")}


def numeric(kind: type) -> Iterator[Field]:
    """Yield options that are numbers, declared by us, and not copied from elsewhere."""
    for one in fields(kind):
        declaring = [k for k in kind.__mro__ if one.name in vars(k).get("__annotations__", {})][-1]
        ours = declaring.__module__.startswith("fairseq_plugins")
        if ours and isinstance(one.default, int | float) and not isinstance(one.default, bool):
            yield one


def cases() -> list[Any]:
    """Return all numeric options of ours with all hard values."""
    return [
        pytest.param(group, name, one.name, value, id=f"{name}-{one.name}-{value}")
        for (group, name), kind in OURS.items()
        for one in numeric(kind)
        for value in HARD
    ]


def test_every_numeric_option_declares_its_range() -> None:
    undeclared = {
        f"{name}.{one.name}"
        for (_, name), kind in OURS.items()
        for one in numeric(kind)
        if one.name not in dict(declared(kind))
    }
    assert len(OURS) > 15 and not undeclared


@pytest.mark.parametrize(("group", "name", "option", "value"), cases())
def test_hard_values_work_or_are_refused_in_one_line(
    group: str, name: str, option: str, value: float, drawings: OmniglotImages
) -> None:
    kind = OURS[group, name]
    allowed = dict(declared(kind))[option]
    try:
        check_part(kind(**{option: value}), kind)
    except InputError as error:
        assert value not in allowed
        assert str(error) == f"--{option.replace('_', '-')} {value}: must be {allowed}"
    else:
        assert math.isfinite(value)
        loss = tiny_training(group, name, {option: value})
        assert math.isfinite(loss), f"trains to a loss of {loss}"


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch) -> OmniglotImages:
    """Return random drawings in place of those on a disk."""
    pixels = np.random.default_rng(1).integers(0, 256, (9, 12, 28, 28)).astype(np.uint8)
    images = OmniglotImages(pixels, [f"class{n}" for n in range(9)], ["Greek"] * 9)
    monkeypatch.setattr(fairseq_plugins.tasks.omniglot, "load_part", lambda *_: images)
    return images


SMALL = {  # what each kind is made with where a test says nothing else
    "algorithmic": {"algorithm": "rare_symbols", "symbols": 9, "examples": 9, "max_length": 4},
    "omniglot": {"data": "x", "ways": 3, "length": 6},
    "gnmt": {"units": 8},
    "neural_gpu": {"maps": 6, "height": 2, "layers": 1},
    "memory": {"memory_size": 20, "memory_key_dim": 4, "memory_neighbors": 3},
    "one_shot": {"valid_episodes": 2},
    "elsewhere": {"seed": 1, "batch_size": 4, "image_size": 28, "sentence_avg": False,
                  "max_source_positions": 64, "max_target_positions": 64},
}  # fmt: skip


def made(group: str, name: str, options: dict[str, Any]) -> Any:
    """Return a configuration of the smallest size, in which nothing refers to other groups."""
    kind = KINDS[group, name]
    small = {key: value for part in SMALL if part in name for key, value in SMALL[part].items()}
    known = {one.name for one in fields(kind)}
    small |= {key: value for key, value in SMALL["elsewhere"].items() if key in known}
    result = kind(**{key: value for key, value in small.items() if key in known} | options)
    result._name = name
    return result


def tiny_training(group: str, name: str, options: dict[str, Any]) -> float:
    """Return the loss of one batch by a tiny model, of whatever kind the option belongs to."""
    chosen = {"task": "algorithmic", "model": "gnmt_memory_tiny",
              "criterion": "memory_cross_entropy"}  # fmt: skip
    further: dict[str, Any] = {}
    if "omniglot" in name or name == "one_shot":
        chosen = {"task": "omniglot", "model": "omniglot_convnet_memory", "criterion": "one_shot"}
    elif name in ("mann", "ntm_oneshot", "lstm_oneshot", "sequence_episodes"):
        chosen = {"task": "omniglot", "model": "mann", "criterion": "sequence_episodes"}
        further = {"episodes": "sequences"}
    chosen[group] = name
    given = {part: options if part == group else {} for part in chosen}
    given["task"] = further | given["task"]
    if group == "model" and issubclass(MODEL_DATACLASS_REGISTRY[name], RememberingConfig):
        given["model"]["base"] = base_configuration("transformer")
    cfg = {part: made(part, chosen[part], given[part]) for part in chosen}
    if cfg["criterion"]._name == "one_shot" and options.get("neighborhood_weight") == 0:
        cfg["criterion"].memory_loss_weight = 1.0
    task = TASK_REGISTRY[chosen["task"]](cfg["task"])
    model = ARCH_MODEL_REGISTRY[chosen["model"]].build_model(cfg["model"], task)
    criterion = CRITERION_REGISTRY[chosen["criterion"]].build_criterion(cfg["criterion"], task)
    task.load_dataset("train")
    batch = next(task.dataset("train").epoch_batches(1))
    sample = task.dataset("train").collater([task.dataset("train")[index] for index in batch])
    for _ in range(3):  # so that the memory has to forget
        loss, size, _ = criterion(model.train(), sample)
        loss.backward()
        for memory in memories_in(model):
            memory.commit()
    assert all(parameter.grad is None or torch.isfinite(parameter.grad).all()
               for parameter in model.parameters())  # fmt: skip
    return float(loss.detach()) / size


# --- fairseq's own --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the configuration of a training without further arguments."""
    return training(tmp_path_factory.mktemp("plain"))


def training(folder: Path, *arguments: object) -> Any:
    """Return the configuration of a training with these arguments."""
    parser = options.get_training_parser()
    given = [str(folder), "--task", "translation_memory", "--arch", "gnmt_memory_tiny",
             "--criterion", "memory_cross_entropy", "--optimizer", "adam", "--batch-size", "8",
             "--cpu", "--save-dir", str(folder), *map(str, arguments)]  # fmt: skip
    return convert_namespace_to_omegaconf(options.parse_args_and_arch(parser, given))


def test_a_sound_configuration_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "a.pt").touch()
    check_training(training(tmp_path))
    check_training(training(tmp_path, "--restore-file", tmp_path / "a.pt", "--reset-optimizer"))
    check_training(training(tmp_path, "--restore-file", "checkpoint_last.pt"))  # the default
    check_training(training(tmp_path, "--finetune-from-model", tmp_path / "a.pt"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"restore_file": "nosuch.pt"}, "--restore-file nosuch.pt: no such file"),
        ({"finetune_from_model": "nosuch.pt"}, "--finetune-from-model nosuch.pt: no such file"),
        ({"finetune_from_model": __file__, "reset_optimizer": True}, "combined with --reset-opt"),
        ({"finetune_from_model": __file__, "restore_file": __file__}, "with --restore-file"),
        ({"fp16": True}, "--fp16: fairseq computes in float16 on GPUs only; .* --autocast bfloat"),
        ({"tpu": True}, "--bf16: fairseq uses this for TPUs"),
        ({"lr_scheduler": {"_name": "tri_stage", "phase_ratio": [0.5, 0.3, 0.2]},
          "max_update": 2}, "--max-update 2.*: too few for --phase-ratio"),
        ({"memory_search": "nosuch"}, "--memory-search nosuch: must be one of .*exact"),
        ({"memory_search_dtype": "fp16"}, "--memory-search-dtype fp16: must be one of auto"),
        ({"restore_file": "/tmp"}, "--restore-file /tmp: no such file"),
        ({"restore_file": ""}, "--restore-file : no such file"),
        ({"finetune_from_model": "/tmp"}, "--finetune-from-model /tmp: no such file"),
        ({"save_dir": ""}, "--save-dir: an empty name"),
        ({"log_interval": 0}, "--log-interval 0: must be at least 1"),
        ({"num_workers": 10**6}, "--num-workers 1000000: must be at least 0 and at most 1,024"),
        ({"adam_betas": "x"}, "--adam-betas x: must be two numbers"),
        ({"adam_betas": "(2, 2)"}, "--adam-betas .2, 2.: must be two"),
        ({"eval_bleu_args": "{"}, "--eval-bleu-args {: must be an object of JSON"),
        ({"eval_bleu_detok_args": "[]"}, r"--eval-bleu-detok-args \[\]: must be an object"),
        ({"lr_scheduler": {"_name": "inverse_sqrt", "warmup_updates": 0}},
         "give --warmup-updates 1 or"),
        ({"warmup_updates": -1}, "--warmup-updates -1: must be at least 0"),
        ({"memory_sharded": True, "ema_fp32": True}, "--memory-sharded cannot be combined with"),
        ({"memory_sharded": True, "memory_size": 2, "distributed_world_size": 3},
         "--memory-size 2: too few slots for --memory-sharded in 3 processes"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(plain: Any, changes: dict, message: str) -> None:
    cfg = deepcopy(plain)
    for name, value in changes.items():
        groups = [key for key in cfg if OmegaConf.is_config(cfg[key]) and name in cfg[key]]
        assert name in cfg or groups, name
        for place in groups or [None]:
            OmegaConf.update(cfg, f"{place}.{name}" if place else name, value, merge=False)
    with pytest.raises(InputError, match=message) as caught:
        check_training(cfg)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bf16"], "--bf16: fairseq uses this for TPUs"),
        (["--update-freq", "2,0"], "--update-freq 0: must be at least 1"),
        (["--lr", ""], "--lr: give a learning rate"),
        (["--lr-scheduler", "tri_stage"], "give --decay-steps 1 or more"),
    ],
)
def test_command_lines_that_cannot_be_are_refused_in_one_line(
    tmp_path: Path, arguments: list, message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        check_training(training(tmp_path, *arguments))
    assert "\n" not in str(caught.value)


def test_a_training_that_has_begun_no_longer_needs_what_it_began_with(tmp_path: Path) -> None:
    (tmp_path / "checkpoint_last.pt").touch()
    check_training(training(tmp_path, "--finetune-from-model", "nosuch.pt"))


def test_a_training_without_size_of_its_batches_is_refused(plain: Any) -> None:
    cfg = deepcopy(plain)
    cfg.dataset.batch_size = None
    with pytest.raises(InputError, match="give --batch-size"):
        check_training(cfg)
    cfg.dataset.max_tokens = 100
    check_training(cfg)
    cfg.task = {"_name": "omniglot"}
    with pytest.raises(InputError, match="this task draws its examples in batches"):
        check_training(cfg)


def test_groups_and_options_that_a_program_lacks_may_be_missing() -> None:
    check_arguments(OmegaConf.create({}))
    check_arguments(OmegaConf.create({"common": {"cpu": True}}))


@pytest.mark.parametrize("value", HARD)
@pytest.mark.parametrize(
    ("group", "name"), [(group, name) for group, names in FAIRSEQ.items() for name in names]
)
def test_options_of_fairseq_have_ranges(plain: Any, group: str, name: str, value: float) -> None:
    cfg = deepcopy(plain)
    cfg.generation.max_len_a = 1  # so that every --min-len and --max-len-b leave a length
    listed = name in ("lr", "update_freq")
    cfg[group] = {**(cfg[group] or {}), name: [value] if listed else value}
    if value in FAIRSEQ[group][name]:
        assert math.isfinite(value)
        check_training(cfg)
    else:
        with pytest.raises(InputError, match=rf"--{name.replace('_', '-')} {value}: must be"):
            check_training(cfg)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-len-b", 0], "--min-len 1: translations have at most --max-len-b 0 tokens"),
        (["--min-len", 10**6], "--min-len 1000000: translations have at most --max-len-b 200"),
        (["--beam", 2, "--diverse-beam-groups", 3], "--diverse-beam-groups 3: does not divide"),
        (["--unkpen", "nan"], "--unkpen nan: must be a finite number"),
        (["--model-overrides", "{"], "--model-overrides {: must be a dict of Python"),
        (["--remove-bpe", "nosuch"], "--post-process nosuch: must be one of @@ "),
        (["--bpe", "sentencepiece"], "--bpe sentencepiece: give --sentencepiece-model"),
        (["--fp16", "--cpu"], "--fp16: fairseq computes in float16 on GPUs only"),
    ],
)
def test_searches_that_cannot_be_are_refused_in_one_line(arguments: list, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        check_arguments(generation(*arguments))
    assert "\n" not in str(caught.value)


def test_a_sound_search_is_accepted() -> None:
    check_arguments(generation("--remove-bpe", "--beam", 2, "--diverse-beam-groups", 2))


def generation(*more: object) -> Any:
    """Return the configuration of fairseq-generate with these arguments."""
    given = ["data", "--path", "x.pt", *map(str, more)]
    parser = options.get_generation_parser()
    return convert_namespace_to_omegaconf(options.parse_args_and_arch(parser, given))


@pytest.mark.parametrize(
    ("program", "refused"), [("fairseq-interactive", True), ("fairseq-generate", False)]
)
def test_soft_alignment_is_not_for_interactive_use(
    plain: Any, monkeypatch: pytest.MonkeyPatch, program: str, refused: bool
) -> None:
    cfg = deepcopy(plain)
    cfg.generation = OmegaConf.structured(GenerationConfig(print_alignment="soft"))
    monkeypatch.setattr(sys, "argv", [f"/usr/bin/{program}"])
    expected = pytest.raises(InputError, match="hard alignments only") if refused else nullcontext()
    with expected:
        check_arguments(cfg)
