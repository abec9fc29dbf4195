"""A translator that has learned its tiny language, for the tests of fairseq's programs."""

import re
from pathlib import Path

import pytest
import torch

from tests.programs import fairseq, succeeded
from tests.tiny_training import PLUGINS, Training, made_once

UPDATES = 350


def languages(task: str = "translation_memory", plugins: Path = PLUGINS) -> list[object]:
    """Return options that all of fairseq's programs need."""
    return ["--user-dir", plugins, "--task", task, "-s", "xx", "-t", "yy", "--cpu"]


def sizes() -> list[object]:
    """Return options of a small model with memory, and of how fast it learns."""
    return [
        "--arch", "gnmt_memory_tiny", "--share-all-embeddings", "--units", 64, "--dropout", 0.4,
        "--memory-size", 512, "--memory-key-dim", 32, "--memory-neighbors", 8,
        "--criterion", "memory_cross_entropy", "--optimizer", "adam", "--clip-norm", 1,
        "--lr", 0.005, "--lr-scheduler", "inverse_sqrt", "--warmup-updates", 50,
        "--num-workers", 0, "--log-format", "simple",
    ]  # fmt: skip


def training(data: Path, folder: Path) -> list[object]:
    """Return arguments of fairseq-train for the whole training, into a folder."""
    return [
        data, *languages(), *sizes(), "--batch-size", 16, "--max-update", UPDATES,
        "--validate-interval", 20, "--save-interval", 10, "--no-epoch-checkpoints",
        "--save-interval-updates", 100,
        "--keep-interval-updates", 1, "--save-dir", folder,
    ]  # fmt: skip


def checkpoint(folder: Path) -> dict:
    """Return the contents of the last checkpoint in a folder."""
    return torch.load(folder / "checkpoint_last.pt", weights_only=True)


def memory(state: dict) -> dict[str, torch.Tensor]:
    """Return the memory's arrays in a checkpoint."""
    prefix = "decoder.reader.memory."
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in state["model"].items()
        if name.startswith(prefix)
    }


def logged(log: str, split: str, name: str) -> list[float]:
    """Return the values of a number in the log of fairseq-train, in order."""
    summary = re.compile(rf"\| INFO \| {split} \||\[{split}\]\[INFO\]")
    lines = [line for line in log.splitlines() if summary.search(line)]
    return [float(value) for line in lines for value in re.findall(rf"\| {name} (\S+)", line)]


@pytest.fixture(scope="session")
def learned(tiny_data: Path, tiny_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """Return a small translator with memory that has learned to translate most words."""

    def make(folder: Path) -> None:
        (folder / "train.log").write_text(succeeded(fairseq("train", *training(tiny_data, folder))))

    folder = made_once(tmp_path_factory, "learned", make)
    return Training(tiny_data, tiny_text, folder, (folder / "train.log").read_text())
