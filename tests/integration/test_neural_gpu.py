"""Neural GPUs with the real programs: trained, resumed, decoded, evaluated, their memory filled."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.tiny_training import PLUGINS, fairseq, launch

pytestmark = pytest.mark.integration
LENGTH, SYMBOLS = 2, 40


def options(folder: Path, *more: object) -> list[object]:
    return [
        "--user-dir", PLUGINS, "--task", "algorithmic", "--min-length", 1, "--max-length", LENGTH,
        "--batch-size", 32, "--batches", 100, "--valid-batches", 5, "--curriculum-batches", 50,
        "--maps", 16, "--layers", 1, "--dropout", 0.1, "--gradient-noise", 0.001, "--relaxation", 2,
        "--relaxation-updates", 60,
        "--criterion", "memory_cross_entropy", "--label-smoothing", 0,
        "--optimizer", "adam", "--lr", 0.01, "--clip-norm", 1, "--save-dir", folder, "--cpu",
        "--num-workers", 0, "--log-format", "simple",
        "--best-checkpoint-metric", "sequences_right", "--maximize-best-checkpoint-metric", *more,
    ]  # fmt: skip


def remembering(folder: Path, *more: object) -> list[object]:
    return options(
        folder, "--algorithm", "rare_symbols", "--symbols", SYMBOLS, "--examples", 320,
        "--arch", "extended_neural_gpu_memory", "--share-all-embeddings", "--memory-size", 64,
        "--memory-key-dim", 8, "--memory-neighbors", 4, "--memory-gold-updates", 10, *more,
    )  # fmt: skip


def verb(*arguments: object) -> str:
    command = [sys.executable, "-m", "fairseq_plugins.cli", *arguments]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("copy")
    done = fairseq(
        "train",
        *options(folder, "--algorithm", "copy", "--arch", "extended_neural_gpu", "--max-epoch", 3),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "checkpoint_last.pt", done.stdout + done.stderr


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rare")
    done = fairseq("train", *remembering(folder, "--max-update", 20, "--save-interval-updates", 10))
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "checkpoint_last.pt"


def test_copying_is_learned(learned: tuple[Path, str]) -> None:
    shares = re.findall(r"valid on 'valid'.*sequences_right ([\d.]+)", learned[1])
    assert float(shares[-1]) > 60


@pytest.mark.parametrize("beam", [1, 3])
def test_generating_agrees_with_validation(learned: tuple[Path, str], beam: int) -> None:
    done = fairseq(
        "generate", "--user-dir", PLUGINS, "--task", "algorithmic", "--algorithm", "copy",
        "--path", learned[0], "--gen-subset", "test_1", "--beam", beam,
        "--batch-size", 32, "--cpu", "--valid-batches", 5,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    lines = {
        kind: dict(re.findall(rf"^{kind}-(\d+)\t(?:\S+\t)?(.*)$", done.stdout, re.MULTILINE))
        for kind in ("T", "H")
    }
    exact = sum(lines["H"][number] == text for number, text in lines["T"].items())
    assert exact > 0.6 * len(lines["T"]) == 0.6 * 160


@pytest.mark.parametrize("beam", [1, 3])
def test_generating_asks_the_memory(taught: Path, beam: int) -> None:
    asked = [
        "generate", "--user-dir", PLUGINS, "--task", "algorithmic", "--algorithm", "rare_symbols",
        "--symbols", SYMBOLS, "--examples", 320, "--max-length", LENGTH, "--path", taught,
        "--gen-subset", "test", "--beam", beam, "--batch-size", 16, "--cpu", "--valid-batches", 2,
    ]  # fmt: skip
    done = fairseq(*asked)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(re.findall(r"^H-\d+\t", done.stdout, re.MULTILINE)) == 32
    done = fairseq(*asked, "--seed", 5)  # another f
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert "the checkpoint was trained on other symbols" in done.stderr.splitlines()[-1]


def test_evaluation_tells_by_length_and_draws(learned: tuple[Path, str], tmp_path: Path) -> None:
    told = verb(
        "evaluate", "algorithmic", learned[0], "--lengths", 1, 2, "--sequences", 60, "--cpu",
        "--json", "--picture", tmp_path / "p.png", "--picture-length", 3,
    )  # fmt: skip
    shares = json.loads(told)["lengths"]
    assert shares["1"]["sequences"] > 50 and set(shares) == {"1", "2"}
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_a_memory_is_filled_and_used_for_life(taught: Path, tmp_path: Path) -> None:
    filled = tmp_path / "filled.pt"
    verb("fill", "--path", taught, "--clear", "--memory-size", 500, "--output", filled,
         "--calibrate", "valid", "--cpu")  # fmt: skip
    values = torch.load(filled, weights_only=False)["model"]["decoder.reader.memory.values"]
    assert len(values) == 500 and (values >= 0).any()
    told = verb("evaluate", "algorithmic", filled, "--rarity", "--sequences", 20, "--cpu")
    assert re.search(r"^>20 +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+$", told, re.MULTILINE)


def test_a_memory_is_taken_out_and_put_back(taught: Path, tmp_path: Path) -> None:
    snapshot, restored = tmp_path / "m.safetensors", tmp_path / "restored.pt"
    verb("snapshot", "save", "--path", taught, "--snapshot", snapshot)
    verb("snapshot", "load", "--path", taught, "--snapshot", snapshot, "--output", restored)
    before, after = (torch.load(path, weights_only=False)["model"] for path in (taught, restored))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_two_workers_train_one_network_with_one_memory(tmp_path: Path) -> None:
    command = launch("fairseq-train", *remembering(tmp_path, "--max-update", 5))
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    state = torch.load(tmp_path / "checkpoint_last.pt", weights_only=False)["model"]
    assert int(state["decoder.reader.memory.commits"]) == 5


def test_training_goes_on_as_if_never_stopped(taught: Path, tmp_path: Path) -> None:
    begun = fairseq("train", *remembering(tmp_path, "--max-update", 10))
    resumed = fairseq("train", *remembering(tmp_path, "--max-update", 20))
    assert begun.returncode == resumed.returncode == 0, resumed.stderr[-2000:]
    ours, expected = (
        torch.load(path, weights_only=False)["model"]
        for path in (tmp_path / "checkpoint_last.pt", taught)
    )
    for name, weight in expected.items():
        assert torch.equal(ours[name], weight), name
