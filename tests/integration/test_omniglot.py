"""From archives to one-shot accuracy, with the real programs."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import torch

from fairseq_plugins.checkpoints.memories import MemoryOfCheckpoint
from fairseq_plugins.cli.__main__ import main
from fairseq_plugins.criterions.one_shot import OneShot, OneShotConfig
from fairseq_plugins.errors import InputError
from fairseq_plugins.memory.snapshot import load_memory
from fairseq_plugins.tasks.omniglot import OmniglotConfig, OmniglotTask
from tests.integration.watching import assert_one_model_and_memory, assert_resumes, watching
from tests.omniglot_archives import SIZES, write_lake_runs
from tests.programs import fairseq, script, succeeded, verb
from tests.tiny_training import PLUGINS, WORKERS, train_by_workers

pytestmark = pytest.mark.integration
SIZE = SIZES[0]
BATCHES, EPOCHS = 16, 2
CHANCE = 20.0  # per cent, of five ways
FLOORS = {"5way_1shot": 98.5, "20way_1shot": 95.0}  # of the real data, after minutes


def options(data: Path, folder: Path, *more: object, plugins: Path = PLUGINS) -> list[object]:
    return [
        data, "--user-dir", plugins, "--task", "omniglot", "--split", "validated",
        "--image-size", SIZE, "--batch-size", 16, "--batches", BATCHES,
        "--arch", "omniglot_convnet_memory",
        "--memory-size", 256, "--memory-neighbors", 32, "--criterion", "one_shot",
        "--valid-episodes", 40, "--optimizer", "adam", "--lr", 0.003,
        "--save-dir", folder, "--cpu",
        "--best-checkpoint-metric", "5way_1shot", "--maximize-best-checkpoint-metric",
        "--log-format", "simple", "--num-workers", 0, *more,
    ]  # fmt: skip


def accuracy(log: str) -> float:
    return float(re.findall(r"5way_1shot ([\d.]+)", log)[-1])


@pytest.fixture(scope="module")
def learned(drawings: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return folder and log of a training of two epochs."""
    folder = tmp_path_factory.mktemp("learned")
    return folder, succeeded(fairseq("train", *options(drawings, folder, "--max-epoch", EPOCHS)))


def test_characters_never_trained_on_are_told_apart(learned: tuple[Path, str]) -> None:
    folder, log = learned
    assert accuracy(log) > 2.5 * CHANCE
    best = torch.load(folder / "checkpoint_best.pt", weights_only=False)
    assert best["extra_state"]["best"] > 2.5 * CHANCE


def test_the_memory_lives_through_training(learned: tuple[Path, str]) -> None:
    state = torch.load(learned[0] / "checkpoint_last.pt", weights_only=False)["model"]
    assert int(state["memory.commits"]) == BATCHES * EPOCHS
    assert (state["memory.values"] >= 0).all()  # long since full


def test_the_memory_is_a_file_of_its_own(learned: tuple[Path, str], tmp_path: Path) -> None:
    MemoryOfCheckpoint(learned[0] / "checkpoint_last.pt").save(tmp_path / "m.safetensors")
    memory = load_memory(tmp_path / "m.safetensors")
    assert len(memory) == memory.size and int(memory.commits) == BATCHES * EPOCHS


def test_validate_reports_what_training_did(drawings: Path, learned: tuple[Path, str]) -> None:
    folder, log = learned
    done = fairseq(
        "validate", drawings, "--user-dir", PLUGINS, "--task", "omniglot", "--split", "validated",
        "--image-size", SIZE, "--batch-size", 16, "--valid-subset", "valid",
        "--path", folder / "checkpoint_last.pt",
        "--cpu", "--num-workers", 0, "--criterion", "one_shot", "--valid-episodes", 40,
    )  # fmt: skip
    assert accuracy(succeeded(done)) == pytest.approx(accuracy(log), abs=0.01)


def test_killed_training_goes_on_as_if_never_stopped(
    drawings: Path, learned: tuple[Path, str], tmp_path: Path
) -> None:
    more = ["--max-epoch", EPOCHS, "--save-interval-updates", 10]
    assert_resumes(
        lambda plugins, save: options(drawings, save, *more, plugins=plugins),
        tmp_path, learned[0], reached=10,
    )  # fmt: skip


def test_two_workers_train_one_network_with_one_memory(drawings: Path, tmp_path: Path) -> None:
    more = ["--max-epoch", EPOCHS]
    log = train_by_workers(*options(drawings, tmp_path, *more, plugins=watching(tmp_path)))
    updates = BATCHES * EPOCHS // WORKERS
    assert_one_model_and_memory(tmp_path, WORKERS, updates)
    state = torch.load(tmp_path / "checkpoint_last.pt", weights_only=False)
    assert int(state["model"]["memory.commits"]) == updates
    assert accuracy(log) > 2 * CHANCE


def evaluate(data: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return verb("evaluate", "omniglot", "--data", data, "--episodes", 20, *arguments)


def test_everything_is_measured_and_drawn(
    drawings: Path, learned: tuple[Path, str], tmp_path: Path
) -> None:
    done = evaluate(
        drawings, "--path", learned[0] / "checkpoint_last.pt", "--protocols", "5x1", "3x2",
        "--showings", 3, "--showings-episodes", 3, "--views", 2, "--json",
        "--plots", tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["few_shot"]["5way_1shot"]["mean"] > 2 * CHANCE
    assert found["showings"]["3"]["10"]["mean"] > found["showings"]["3"]["1"]["mean"] == 0
    assert found["views"] == 2 and found["path"].endswith("checkpoint_last.pt")
    assert {"showings.png", "episode.png"} <= {path.name for path in tmp_path.iterdir()}


def test_pixels_and_lakes_runs_are_measured(drawings: Path, tmp_path: Path) -> None:
    write_lake_runs(tmp_path / "all_runs", runs=2, classes=4)
    lake = ("--lake", tmp_path / "all_runs", "--json")
    pixels = ("--pixels", "--split", "validated", "--image-size", SIZE)
    done = evaluate(drawings, *pixels, "--protocols", "3x1", *lake)
    assert done.returncode == 0, done.stderr[-2000:]
    share = json.loads(done.stdout)["lake"]
    assert share["episodes"] == 2 and share["mean"] >= 50


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--lake", "all_runs.zip"], "of background-evaluation, part test; leave out --lake"),
        (["--protocols", "5x0"], "5x0 is not of the form WAYSxSHOTS"),
        (["--protocols", "--showings", 100], "10 showings of 100 classes need"),
        (["--protocols", "--lifelong"], "the life-long test needs more than 100 classes"),
        (["--seed", -1], "-1 is not a number of at least 0"),
    ],
)
def test_what_cannot_be_measured_is_a_line_of_advice(
    drawings: Path,
    learned: tuple[Path, str],
    wrong: list,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fairseq_plugins.program.start", lambda: None)
    given = ["--data", drawings, "--path", learned[0] / "checkpoint_last.pt", *wrong]
    with pytest.raises((InputError, SystemExit)) as ended:
        main(["evaluate", "omniglot", *map(str, given)])
    assert message in f"{ended.value} {capsys.readouterr().err}"


def test_real_characters_are_learned_in_minutes(rare_data: Path, tmp_path: Path) -> None:
    done = script(
        "reproduce", "omniglot", "--source", rare_data / "omniglot", "--out", tmp_path, "--quick",
        "--splits", "vinyals", "--seeds", 1, "--threads", 1,
    )  # fmt: skip
    succeeded(done)
    found = json.loads((tmp_path / "results.json").read_text())[0]["few_shot"]
    for name, floor in FLOORS.items():
        assert found[name]["mean"] > floor, found


@pytest.mark.parametrize("labels", ["one-hot", "strings"])
def test_networks_that_learn_within_an_episode_are_trained_and_validated(
    drawings: Path, tmp_path: Path, labels: str
) -> None:
    done = fairseq(
        "train", drawings, "--user-dir", PLUGINS, "--task", "omniglot", "--split", "validated",
        "--image-size", SIZE, "--episodes", "sequences", "--labels", labels, "--ways", 3,
        "--length", 12, "--batch-size", 8, "--batches", 5, "--valid-batches", 3, "--arch", "mann",
        "--units", 16, "--slots", 12, "--width", 8, "--heads", 2, "--max-epoch", 2,
        "--criterion", "sequence_episodes", "--optimizer", "adam", "--lr", 0.003,
        "--best-checkpoint-metric", "showing_2", "--maximize-best-checkpoint-metric",
        "--save-dir", tmp_path, "--cpu", "--log-format", "simple", "--num-workers", 0,
    )  # fmt: skip
    shares = re.findall(r"valid on 'valid' subset.*showing_2 ([\d.]+)", succeeded(done))
    assert len(shares) == 2
    checkpoint = ("--path", tmp_path / "checkpoint_last.pt")
    done = evaluate(drawings, *checkpoint, "--json", "--plots", tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert set(found["showings"]) == set("1234") and found["split"] == "validated"
    assert (tmp_path / "showings.png").exists()
    assert (tmp_path / "checkpoint_best.pt").exists()
    done = evaluate(drawings, *checkpoint, "--showings", 15, "--views", 3)
    assert done.returncode != 0 and "leave out --showings --views" in done.stderr


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"split": "nonsense"}, "no split 'nonsense'; there are"),
        ({"batch_size": 500}, "500 different classes are needed"),
        ({"drawings": 21}, "21 drawings of a class are needed, but there are 20"),
        ({"drawings": 1}, "--drawings 1: the loss within a batch compares"),
        ({"image_size": 30}, "omniglot_30.npz: no such file; make it with"),
        ({"split": "vinyals"}, "no valid; use --disable-validation"),
    ],
)
def test_what_cannot_be_is_a_line_of_advice(drawings: Path, wrong: dict, message: str) -> None:
    given = {"data": str(drawings), "split": "validated", "image_size": SIZE, "batch_size": 16}
    with pytest.raises(InputError) as refused:
        task = OmniglotTask(OmniglotConfig(**(given | {"seed": 1} | wrong)))
        OneShot.build_criterion(OneShotConfig(seed=1), task)
        for part in ("train", "valid"):
            task.load_dataset(part)
    assert message in str(refused.value) and "\n" not in str(refused.value)
