"""A translator trained for a few seconds, for the tests that need a real checkpoint."""

import os
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from tests.programs import fairseq, run, succeeded

PLUGINS = Path(__file__).resolve().parents[1] / "fairseq_plugins"
LINES = {"train": 120, "valid": 20, "test": 20}
WORKERS = 2


def launch(*command: object) -> list[str]:
    """Return the command of a training by two workers, of one thread each."""
    script = PLUGINS.parent / "scripts" / "launch.py"
    return [*map(str, [sys.executable, script, "--workers", WORKERS, "--threads", 1, *command])]


def train_by_workers(*arguments: object) -> str:
    """Train with fairseq-train by two workers; return the log."""
    return succeeded(run(*launch("fairseq-train", *arguments)))


@dataclass(frozen=True)
class Training:
    """A finished training."""

    data: Path
    text: Path
    folder: Path
    log: str

    @property
    def last(self) -> Path:
        """Its last checkpoint."""
        return self.folder / "checkpoint_last.pt"


def made_once(
    tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]
) -> Path:
    """Make a folder once for all processes that share the tests.

    Args:
        tmp_path_factory: of pytest.
        name: of the folder.
        make: fills it.
    """
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, finished = base / name, base / f"{name}.finished"
    with FileLock(base / f"{name}.lock"):
        if not finished.exists():
            folder.mkdir()
            make(folder)
            finished.touch()
    return folder


def write_text(folder: Path) -> None:
    """Write a parallel corpus in which every word translates to itself in capitals."""
    draw = random.Random(1)
    words = [f"w{i}" for i in range(40)]
    for split, count in LINES.items():
        lines = [" ".join(draw.choices(words, k=draw.randint(3, 8))) for _ in range(count)]
        (folder / f"{split}.xx").write_text("\n".join(lines) + "\n")
        (folder / f"{split}.yy").write_text("\n".join(lines).upper() + "\n")


@pytest.fixture(scope="session")
def tiny_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a parallel corpus: every word translates to itself in capitals."""
    return made_once(tmp_path_factory, "tiny_text", write_text)


@pytest.fixture(scope="session")
def tiny_data(tiny_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same, binarised with one dictionary for both sides."""

    def make(folder: Path) -> None:
        parts = [(f"--{split}pref", tiny_text / split) for split in LINES]
        given = ["-s", "xx", "-t", "yy", "--joined-dictionary", "--destdir", folder]
        succeeded(fairseq("preprocess", *given, *(item for part in parts for item in part)))

    return made_once(tmp_path_factory, "tiny_data", make)


@pytest.fixture(scope="session")
def trained(tiny_data: Path, tiny_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """Return a tiny translator with memory after 20 updates, with a checkpoint every 10."""

    def make(folder: Path) -> None:
        log = succeeded(fairseq("train", tiny_data, *training_options(folder, 20)))
        (folder / "train.log").write_text(log)

    folder = made_once(tmp_path_factory, "trained", make)
    return Training(tiny_data, tiny_text, folder, (folder / "train.log").read_text())


def training_options(folder: Path, updates: int, plugins: Path = PLUGINS) -> list[object]:
    """Return the options of fairseq-train for a tiny translator with memory."""
    return [
        "--user-dir", plugins, "--task", "translation_memory", "-s", "xx", "-t", "yy",
        "--arch", "gnmt_memory_tiny", "--share-all-embeddings", "--units", 16,
        "--memory-size", 64, "--memory-key-dim", 8, "--memory-neighbors", 4,
        "--max-target-positions", 20,  # it has not learned to end its translations
        "--criterion", "memory_cross_entropy", "--optimizer", "adam", "--lr", 0.01,
        "--batch-size", 8, "--max-update", updates, "--save-interval-updates", 10,
        "--store-ema", "--ema-decay", 0.9, "--save-dir", folder, "--cpu", "--num-workers", 0,
        "--eval-bleu", "--eval-bleu-args", '{"beam": 1, "max_len_b": 5}', "--log-format", "simple",
    ]  # fmt: skip
