"""Configurations and their equivalent commands."""

from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from omegaconf import OmegaConf

from fairseq_plugins.errors import InputError
from fairseq_plugins.experiments.show_command import command, composed, shown
from tests.conftest import ROOT

CONFIGS = ROOT / "configs"
NAMES = [path.stem for path in sorted(CONFIGS.glob("*.yaml"))]


def filled(name: str) -> Any:
    """Return a configuration without missing values."""
    overrides = ["common.user_dir=fairseq_plugins", "checkpoint.save_dir=out"]
    if "data: ???" in (CONFIGS / f"{name}.yaml").read_text("utf-8"):
        overrides.append("task.data=data")
    return composed(name, overrides, CONFIGS)


@pytest.mark.parametrize("name", NAMES)
def test_both_mean_the_same(name: str) -> None:
    cfg = filled(name)
    _, *arguments = command(cfg)
    parsed = options.parse_args_and_arch(options.get_training_parser(), arguments)
    equal = convert_namespace_to_omegaconf(parsed)
    for section, wanted in OmegaConf.to_container(cfg, resolve=False).items():
        for option, value in wanted.items():
            found = equal[section][option]
            found = OmegaConf.to_container(found) if OmegaConf.is_config(found) else found
            if not isinstance(found, str | bool | None):
                found, value = (torch.tensor(x).tolist() for x in (found, value))
            assert found == value, f"{section}.{option}"


def test_what_is_missing_stands_in_capitals() -> None:
    arguments = command(composed("multi30k_en_de", [], CONFIGS))
    assert arguments[:4] == ["fairseq-train", "DATA", "--user-dir", "fairseq_plugins"]
    assert arguments[arguments.index("--save-dir") + 1] == "SAVE_DIR"


def test_overrides_are_heeded() -> None:
    arguments = command(composed("rare_symbols", ["common.seed=7", "common.cpu=false"], CONFIGS))
    assert arguments[arguments.index("--seed") + 1] == "7"
    assert "--cpu" not in arguments


def test_it_can_be_pasted_into_a_shell() -> None:
    assert shown(["fairseq-train", "DATA", "--lr", "0.1", "--betas", "(1, 2)"]) == (
        "fairseq-train DATA \\\n    --lr 0.1 \\\n    --betas '(1, 2)'"
    )


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no configuration 'x'; there are .*multi30k"):
        composed("x", [], CONFIGS)
    with pytest.raises(InputError, match=r"Could not override 'model\.no'"):
        composed("multi30k_en_de", ["model.no=1"], CONFIGS)
