"""A translator trained for a few seconds, for the tests that need a real checkpoint."""

import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[1] / "fairseq_plugins"
LINES = {"train": 120, "valid": 20, "test": 20}
WORKERS = 2


def fairseq(name: str, *arguments: object) -> subprocess.CompletedProcess:
    """Run one of fairseq's programs on one thread."""
    command = [str(Path(sys.executable).with_name(f"fairseq-{name}")), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def launch(*command: object) -> list[str]:
    """A program by two workers, of one thread each: two tests may share two cores."""
    script = PLUGINS.parent / "scripts" / "launch.py"
    return [*map(str, [sys.executable, script, "--workers", WORKERS, "--threads", 1, *command])]


@dataclass(frozen=True)
class Training:
    """A finished training."""

    data: Path
    text: Path
    folder: Path
    log: str

    @staticmethod
    def options(folder: Path, updates: int) -> list[object]:
        """What to give fairseq-train for the same training in another folder."""
        return training_options(folder, updates)

    @staticmethod
    def fairseq(name: str, *arguments: object) -> subprocess.CompletedProcess:
        """Run one of fairseq's programs."""
        return fairseq(name, *arguments)

    @property
    def plugins(self) -> Path:
        """The --user-dir."""
        return PLUGINS

    @property
    def last(self) -> Path:
        """Its last checkpoint."""
        return self.folder / "checkpoint_last.pt"


@pytest.fixture(scope="session")
def tiny_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a parallel corpus: every word translates to itself in capitals."""
    folder = tmp_path_factory.mktemp("text")
    draw = random.Random(1)
    words = [f"w{i}" for i in range(40)]
    for split, count in LINES.items():
        lines = [" ".join(draw.choices(words, k=draw.randint(3, 8))) for _ in range(count)]
        (folder / f"{split}.xx").write_text("\n".join(lines) + "\n")
        (folder / f"{split}.yy").write_text("\n".join(lines).upper() + "\n")
    return folder


@pytest.fixture(scope="session")
def tiny_data(tiny_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, binarised with one dictionary for both sides."""
    folder = tmp_path_factory.mktemp("data")
    done = fairseq(
        "preprocess", "-s", "xx", "-t", "yy", "--joined-dictionary", "--destdir", folder,
        "--trainpref", tiny_text / "train", "--validpref", tiny_text / "valid",
        "--testpref", tiny_text / "test",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def trained(tiny_data: Path, tiny_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """A tiny translator with memory after 20 updates, with a checkpoint every 10."""
    folder = tmp_path_factory.mktemp("checkpoints")
    done = fairseq("train", tiny_data, *training_options(folder, 20))
    assert done.returncode == 0, done.stderr
    return Training(tiny_data, tiny_text, folder, done.stdout + done.stderr)


def training_options(folder: Path, updates: int) -> list[object]:
    """Options of fairseq-train for a tiny translator with memory."""
    return [
        "--user-dir", PLUGINS, "--task", "translation_memory", "-s", "xx", "-t", "yy",
        "--arch", "gnmt_memory_tiny", "--share-all-embeddings", "--units", 16,
        "--memory-size", 64, "--memory-key-dim", 8, "--memory-neighbors", 4,
        "--criterion", "memory_cross_entropy", "--optimizer", "adam", "--lr", 0.01,
        "--batch-size", 8, "--max-update", updates, "--save-interval-updates", 10,
        "--store-ema", "--ema-decay", 0.9, "--save-dir", folder, "--cpu", "--num-workers", 0,
        "--eval-bleu", "--eval-bleu-args", '{"beam": 1, "max_len_b": 5}', "--log-format", "simple",
    ]  # fmt: skip
