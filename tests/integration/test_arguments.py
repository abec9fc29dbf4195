"""Arguments are checked first: impossible ones are rejected before any data is loaded."""

from pathlib import Path

import pytest

from tests.conftest import PLUGINS
from tests.tiny_training import fairseq

WRONG = [
    ("memory_size", 0, "--memory-size 0: must be at least 1"),
    ("memory_search", "nosuch", "--memory-search nosuch: must be one of"),
]


def last_line(name: str, *arguments: object) -> str:
    """Run a program that rejects its arguments, and return its result."""
    done = fairseq(name, *arguments)
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_drawings_without_size_of_their_batches(tmp_path: Path) -> None:
    line = last_line(
        "train", tmp_path / "nosuch", "--user-dir", PLUGINS, "--task", "omniglot", "--arch",
        "omniglot_convnet_memory", "--criterion", "one_shot", "--optimizer", "adam",
        "--max-tokens", 100, "--cpu", "--save-dir", tmp_path,
    )  # fmt: skip
    assert line == "error: this task draws its examples in batches: give --batch-size"


@pytest.mark.parametrize(("option", "value", "message"), WRONG)
def test_training_by_command_line(tmp_path: Path, option: str, value: object, message: str) -> None:
    line = last_line(
        "train", tmp_path / "nosuch", "--user-dir", PLUGINS, "--task", "translation_memory",
        "--arch", "gnmt_memory_tiny", "--criterion", "memory_cross_entropy", "--optimizer", "adam",
        "--batch-size", 8, "--cpu", "--save-dir", tmp_path, f"--{option.replace('_', '-')}", value,
    )  # fmt: skip
    assert line.startswith(f"error: {message}")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+model.memory_size=0", "--memory-size 0: must be at least 1"),
        ("checkpoint.restore_file=nosuch.pt", "--restore-file nosuch.pt: no such file"),
        ("+model.memory_size=many", "Value 'many' of type 'str' could not be converted to Integer"),
    ],
)
def test_training_by_configuration(tmp_path: Path, override: str, message: str) -> None:
    line = last_line(
        "hydra-train", "--config-dir", PLUGINS.parent / "configs", "--config-name",
        "multi30k_en_de", f"common.user_dir={PLUGINS}", f"task.data={tmp_path / 'nosuch'}",
        "model._name=gnmt_memory_tiny",
        f"checkpoint.save_dir={tmp_path}", f"hydra.run.dir={tmp_path}", override,
    )  # fmt: skip
    assert line.startswith(f"error: {message}")


def test_generation(tmp_path: Path) -> None:
    line = last_line(
        "generate", tmp_path / "nosuch", "--user-dir", PLUGINS, "--task", "translation_memory",
        "--path", tmp_path / "nosuch.pt", "--cpu", "--seed", -1,
    )  # fmt: skip
    assert line == "error: --seed -1: must be at least 0 and at most 4,294,967,295"
