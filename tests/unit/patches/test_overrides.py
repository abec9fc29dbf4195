"""Overrides name options of a checkpoint; what they change is checked in ``test_patches.py``."""

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from fairseq_plugins.errors import InputError
from fairseq_plugins.patches.arguments import check_arguments
from fairseq_plugins.patches.overrides import override_newer_options

TASK = {"_name": "translation_memory", "data": "data", "left_pad_source": False}
CRITERION = {"_name": "memory_cross_entropy", "label_smoothing": 0.1}
NESTED = {"_name": "transformer", "dropout": 0.1, "encoder": {"layers": 2, "embed_dim": 8}}
OLD = {"arch": "transformer_iwslt_de_en", "task": "translation", "criterion": "cross_entropy"}


def checkpoint(path: Path, model: Any = None, **legacy: Any) -> Path:
    """Write what a checkpoint says of its configuration."""
    model = model or {"_name": "gnmt_memory_tiny", "units": 8, "dropout": 0.2}
    cfg = {"task": TASK, "model": model, "criterion": CRITERION}
    torch.save(legacy or {"cfg": cfg, "model": {"weight": torch.zeros(2)}}, path)
    return path


def refused(overrides: object, *paths: Path, lm: Path | None = None) -> str:
    """Return why overrides are refused; nothing if they are not."""
    evaluation = {"model_overrides": str(overrides), "path": ":".join(map(str, paths))}
    more = {"common_eval": evaluation, "generation": {"lm_path": lm and str(lm), "max_len_a": 1,
            "diverse_beam_groups": 0}}  # fmt: skip
    try:
        check_arguments(OmegaConf.create(more))
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "overrides",
    [
        {"dropout": 0},  # of the model
        {"memory_sure": 0.9},  # newer than the checkpoint
        {"data": "other"},  # of the task
        {"label_smoothing": 0},  # of the criterion
        {"model": {"dropout": 0}, "task": {"data": "other"}},
        {},
    ],
)
def test_names_of_options_are_accepted(tmp_path: Path, overrides: dict) -> None:
    assert refused(overrides, checkpoint(tmp_path / "x.pt")) == ""


def test_other_names_are_refused_with_the_closest(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "x.pt")
    line = refused({"dropuot": 0, "units": 8, "beam_size": 5}, path)
    start = f"--model-overrides: {path} has no option of its model, task or criterion named "
    assert line.startswith(start + "dropuot (the closest is dropout), beam_size (the closest is ")
    assert "\n" not in line
    assert "named nosuch" in refused({"model": {"nosuch": 1}}, path)
    assert "named generation" in refused({"generation": {"beam": 1}}, path)


def test_configurations_within_configurations_have_options_too(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "x.pt", NESTED)
    assert refused({"layers": 3}, path) == ""
    assert "layer (the closest is layers)" in refused({"layer": 3}, path)


@pytest.mark.parametrize("whole", [True, False])
def test_old_checkpoints_have_the_options_of_their_classes(tmp_path: Path, whole: bool) -> None:
    options = argparse.Namespace(**OLD, decoder_layers=1)
    legacy = {"args": options} if whole else {}
    path = checkpoint(tmp_path / "x.pt", options, **legacy)
    # In the checkpoint; newer than it, of the model and of the task.
    assert refused({"decoder_layers": 2, "quant_noise_pq": 0.1, "upsample_primary": 1}, path) == ""
    assert "decoder_layer (the closest is decoder_layers" in refused({"decoder_layer": 2}, path)


def test_one_checkpoint_of_many_may_have_an_option(tmp_path: Path) -> None:
    one, other = checkpoint(tmp_path / "x.pt"), checkpoint(tmp_path / "y.pt", NESTED)
    overrides = {"layers": 3, "memory_sure": 0.9}
    assert refused(overrides, one, other) == refused(overrides, other, lm=one) == ""
    assert "named layers" in refused(overrides, one) and "named memory_sure" in refused(
        overrides, other
    )


def test_files_of_old_versions_of_torch_are_read(tmp_path: Path) -> None:
    cfg = {"task": TASK, "model": NESTED, "criterion": CRITERION}
    torch.save({"cfg": cfg}, tmp_path / "x.pt", _use_new_zipfile_serialization=False)
    assert refused({"layers": 3}, tmp_path / "x.pt") == ""
    assert "named nosuch" in refused({"nosuch": 3}, tmp_path / "x.pt")


def test_what_cannot_be_read_is_left_to_the_loading(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_text("not a checkpoint")
    for path in (tmp_path / "x.pt", tmp_path / "missing.pt"):
        assert refused({"nosuch": 1}, path) == ""


def test_newer_options_of_all_parts_can_be_overridden(tmp_path: Path) -> None:
    cfg = OmegaConf.create(
        {"task": TASK, "model": {"_name": "gnmt_memory_tiny"}, "criterion": CRITERION}
    )
    override_newer_options(cfg, {"autocast": "none", "memory_sure": 0.5, "softmax_alone": 0.0,
                                 "label_smoothing": 0.0, "nosuch": 1})  # fmt: skip
    assert cfg.task == TASK | {"autocast": "none"}
    assert cfg.model == {"_name": "gnmt_memory_tiny", "memory_sure": 0.5}
    assert cfg.criterion == CRITERION | {"softmax_alone": 0.0}  # fairseq overrides the others
    with pytest.raises(InputError, match="--softmax-alone 2: must be"):
        override_newer_options(cfg, {"softmax_alone": 2})
