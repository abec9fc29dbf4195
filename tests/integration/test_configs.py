"""Every published configuration trains at a small size, with the scripts that use it."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_plugins.checkpoints.files import num_updates, read_checkpoint
from fairseq_plugins.commands import run
from fairseq_plugins.errors import InputError
from fairseq_plugins.experiments.rare_symbols import MODELS
from fairseq_plugins.experiments.workshop import Training, Workshop
from fairseq_plugins.plots.style import validation
from tests.conftest import ROOT
from tests.programs import LONGEST, SOURCE, fairseq, succeeded
from tests.waiting import wait_until

pytestmark = pytest.mark.integration
SHORT = ["optimization.max_update=4", "++dataset.batch_size=6", "common.log_interval=1"]
RARE = ["+task.symbols=50", "+task.examples=40", "task.batches=2", "task.valid_batches=1",
        "task.max_length=3", "task.curriculum_batches=2"]  # fmt: skip
SMALL: dict[str, tuple[str, list[str]]] = {
    "translator": ("multi30k_en_de", ["task.source_lang=xx", "task.target_lang=yy",
                                      "+model.units=16", "+model.memory_size=64"]),
    "general translator": ("general_en_de", ["task.source_lang=xx", "task.target_lang=yy",
                                             "+model.units=16", "+model.memory_size=64"]),
    "published recipe": ("wmt14_en_de_gnmt", ["task.source_lang=xx", "task.target_lang=yy",
                                              "+model.units=16", "model.memory_size=64",
                                              "+model.memory_key_dim=16", "common.cpu=true"]),
    "drawings": ("omniglot_vinyals", ["task.batches=2", "+model.memory_size=64"]),
    "mann": ("omniglot_mann", ["task.batches=2", "+task.valid_batches=1", "+model.units=16",
                               "task.length=12", "task.ways=3"]),
    "algorithms": ("algorithms", ["task.batches=2", "task.valid_batches=1", "model.maps=8",
                                  "task.max_length=3", "task.curriculum_batches=2"]),
    "rare symbols": ("rare_symbols", [*RARE, "model.units=16", "model.memory_from_update=2"]),
    "rare symbols without memory": ("rare_symbols", [*RARE, "model.units=16", *MODELS["gnmt"][1]]),
    "rare symbols, neural gpu": ("rare_symbols_neural_gpu",
                                 [*RARE, "model.maps=8", "model.memory_from_update=2"]),
    "rare symbols, neural gpu without memory": ("rare_symbols_neural_gpu",
                                                [*RARE, "model.maps=8",
                                                 *MODELS["extended_neural_gpu"][1]]),
}  # fmt: skip


def test_all_configurations_are_tried_here() -> None:
    assert {path.stem for path in (ROOT / "configs").glob("*.yaml")} == {
        config for config, _ in SMALL.values()
    }


@pytest.mark.parametrize("name", SMALL)
def test_it_trains_under_hydra(name: str, drawings: Path, tiny_data: Path, tmp_path: Path) -> None:
    config, small = SMALL[name]
    data = drawings if "omniglot" in config else tiny_data if "en_de" in config else None
    own = [f"task.data={data}"] if data else []
    training = Training("small", config, [*own, *SHORT, *small])
    workshop = Workshop(tmp_path, threads=1, parallel=1)
    begin = time.perf_counter()
    workshop.train([training])
    passed = time.perf_counter() - begin
    last = read_checkpoint(tmp_path / "small" / "checkpoint_last.pt")
    assert num_updates(last) == 4
    assert 0 <= workshop.seconds("small") <= round(passed)


def test_the_log_of_a_training_that_went_on_tells_all_of_it(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, threads=1, parallel=1)
    config, small = SMALL["rare symbols"]
    for updates in (2, 4):
        length = f"optimization.max_update={updates}"
        training = Training("small", config, [*SHORT, *small, length])
        workshop.train([training])
        for done in ("training_seconds.txt", "settings.json"):  # as if it had been interrupted
            (tmp_path / "small" / done).unlink()
    curve = validation(workshop.log("train_small"), "ppl")
    assert [updates for updates, _ in curve] == [2, 4]


def hydra(*overrides: str) -> None:
    """Train on rare symbols, as one would type it in the project's folder."""
    config, small = SMALL["rare symbols"]
    given = ["--config-dir", "configs", "--config-name", config, *overrides, *SHORT, *small]
    succeeded(fairseq("hydra-train", *given, cwd=ROOT))


def test_models_of_a_sweep_are_those_of_single_trainings(tmp_path: Path) -> None:
    together, alone = tmp_path / "sweep", tmp_path / "alone"
    relative = os.path.relpath(together, ROOT)  # seen from where the command is given
    hydra(
        "--multirun", "common.seed=1,2", f"checkpoint.save_dir={relative}/seed${{common.seed}}",
        f"hydra.sweep.dir={relative}/hydra",
    )  # fmt: skip
    hydra("common.seed=2", f"checkpoint.save_dir={alone}", f"hydra.run.dir={alone}/hydra")
    for name in ("checkpoint_best.pt", "checkpoint_last.pt"):
        ours, theirs = (read_checkpoint(at / name) for at in (together / "seed2", alone))
        assert num_updates(ours) == num_updates(theirs)
        assert ours["model"].keys() == theirs["model"].keys()
        assert all(torch.equal(ours["model"][key], theirs["model"][key]) for key in ours["model"])
    assert [path.name for path in sorted((together / "hydra").glob("[0-9]"))] == ["0", "1"]


def test_what_is_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "training_seconds.txt").write_text("12\n")

    def run(*arguments: Any) -> None:
        raise AssertionError("nothing was to be run")

    monkeypatch.setattr("fairseq_plugins.experiments.workshop.run", run)
    workshop = Workshop(tmp_path, threads=1, parallel=2)
    workshop.train([Training("one", "omniglot_vinyals", [])])
    assert workshop.seconds("one") == 12


def test_what_is_done_is_not_taken_for_what_was_done_otherwise(tmp_path: Path) -> None:
    out = tmp_path / "jos\u00e9's (2), a=b"  # a folder may be called so
    config, small = SMALL["rare symbols"]
    workshop = Workshop(out, threads=1, parallel=1)
    manifest = out / "data" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text('{"stages": {}}')

    def train(*changes: str) -> None:
        workshop.train([Training("small", config, [*SHORT, *small, *changes])])

    train()
    train()
    with pytest.raises(InputError, match="was trained with other settings or data"):
        train("optimization.lr=[0.5]")
    (out / "small" / "training_seconds.txt").unlink()  # as if it had been interrupted
    with pytest.raises(InputError, match="was trained with other settings or data"):
        train("optimization.lr=[0.5]")
    manifest.write_text('{"stages": {"raw": {"outputs": {"raw/train.en": "1"}}}}')
    with pytest.raises(InputError, match="was trained with other settings or data"):
        train()


def test_a_start_that_failed_does_not_bind(tmp_path: Path) -> None:
    config, small = SMALL["rare symbols"]
    workshop = Workshop(tmp_path, threads=1, parallel=1)
    with pytest.raises(InputError, match="the command that wrote this log failed"):
        workshop.train([Training("small", config, [*SHORT, *small, "optimization.lrr=[0.5]"])])
    workshop.train([Training("small", config, [*SHORT, *small])])
    assert workshop.seconds("small") >= 0


SLOW = "import os, time; print(os.getpid(), flush=True); time.sleep(3600); print('ended')"


def is_running(log: Path) -> bool:
    """Return whether the slow program that wrote a log still runs."""
    number = int(log.read_text().split()[0])
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_one_that_fails_ends_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, next_one = tmp_path / "slow", tmp_path / "next"

    def train(self: Workshop, training: Training) -> None:
        source = SLOW
        if training.name == "fails":
            wait_until(lambda: slow.exists() and slow.read_text())
            source = "1 / 0"
        run([sys.executable, "-c", source], tmp_path / training.name, 1)

    monkeypatch.setattr(Workshop, "_train", train)
    workshop = Workshop(tmp_path, threads=2, parallel=2)
    with pytest.raises(InputError, match=r"fails: the command that wrote this log failed"):
        workshop.train([Training(name, "", []) for name in ("slow", "fails", "next")])
    assert not is_running(slow) and "ended" not in slow.read_text()
    assert not next_one.exists() or "ended" not in next_one.read_text()


def test_a_program_that_is_ended_ends_its_trainings(tmp_path: Path) -> None:
    program = f"""
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from fairseq_plugins.experiments import workshop as trainings
from fairseq_plugins.commands import run
from fairseq_plugins.program import start

def wait(self, training):
    run([sys.executable, "-c", {SLOW!r}], Path({str(tmp_path)!r}, training.name), 1)

start()
trainings.Workshop._train = wait
workshop = trainings.Workshop(Path("."), threads=2, parallel=2)
workshop.train([trainings.Training(name, "", []) for name in ("one", "two", "three")])
"""
    logs = [tmp_path / name for name in ("one", "two", "three")]
    with subprocess.Popen([sys.executable, SOURCE, program]) as running:
        wait_until(lambda: all(log.exists() and log.read_text() for log in logs[:2]))
        running.terminate()
        assert running.wait(LONGEST) == 143
    assert not any(map(is_running, logs[:2]))
    assert not logs[2].exists()
