"""Two workers on one machine train one model with one memory."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import torch

from tests.integration.learned import checkpoint, languages, memory, sizes
from tests.integration.watching import assert_one_model_and_memory, seen, watching
from tests.programs import LONGEST, assert_one_line, fairseq, run, succeeded
from tests.tiny_training import (
    LINES,
    PLUGINS,
    WORKERS,
    Training,
    launch,
    train_by_workers,
    training_options,
)

pytestmark = pytest.mark.integration

BATCH, EPOCHS = 8, 2
BATCHES = LINES["train"] // BATCH
PER_EPOCH = -(-BATCHES // WORKERS)  # updates
assert BATCHES % WORKERS == 1  # so that an epoch ends with a dummy batch for the last worker


def arguments(data: Path, folder: Path, plugin: Path, epochs: int) -> list[object]:
    return [
        data, *languages(plugins=plugin), *sizes(), "--batch-size", BATCH,
        "--max-epoch", epochs, "--no-epoch-checkpoints", "--save-dir", folder,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two workers have trained, with what each of them saw in RANK.jsonl."""
    folder = tmp_path_factory.mktemp("workers")
    train_by_workers(*arguments(tiny_data, folder, watching(folder), EPOCHS))
    return folder


def test_training_runs_to_its_end(folder: Path) -> None:
    updates = EPOCHS * PER_EPOCH
    assert [len(worker) for worker in seen(folder, WORKERS)] == [updates] * WORKERS
    state = checkpoint(folder)
    assert state["optimizer_history"][-1]["num_updates"] == updates
    assert int(memory(state)["commits"]) == updates


def test_workers_share_the_data_and_one_goes_empty_at_the_end_of_an_epoch(folder: Path) -> None:
    one, other = seen(folder, WORKERS)
    half = len(one) // EPOCHS
    epoch = [number for update in one[:half] + other[:half] for number in update["sentences"]]
    assert sorted(epoch) == list(range(LINES["train"]))
    assert [len(update["sentences"]) for update in other[:half]] == [BATCH] * (half - 1) + [0]


def test_workers_agree_after_every_update(folder: Path) -> None:
    assert_one_model_and_memory(folder, WORKERS, EPOCHS * PER_EPOCH)


def test_memory_holds_what_both_workers_saw(folder: Path) -> None:
    one, other = seen(folder, WORKERS)
    assert one[0]["filled"] == one[0]["tokens"] + other[0]["tokens"]
    assert one[0]["tokens"] > 0 and other[0]["tokens"] > 0


def test_checkpoint_of_two_workers_translates(folder: Path, tiny_data: Path) -> None:
    last = folder / "checkpoint_last.pt"
    output = succeeded(fairseq("generate", tiny_data, *languages(), "--path", last))
    assert len(re.findall(r"^H-", output, re.MULTILINE)) == LINES["test"]
    assert bool(torch.isfinite(memory(checkpoint(folder))["keys"]).all())


def test_two_workers_go_on_from_the_checkpoint_of_one(trained: Training, tmp_path: Path) -> None:
    begun = tmp_path / "checkpoint_last.pt"
    shutil.copy(trained.folder / "checkpoint1.pt", begun)
    reached = checkpoint(tmp_path)["optimizer_history"][-1]["num_updates"]
    options = training_options(tmp_path, reached + 3, watching(tmp_path))
    log = train_by_workers(trained.data, *options, "--disable-validation")
    assert re.search(rf"Loaded checkpoint .*checkpoint_last\.pt .*@ {reached} updates", log)
    assert_one_model_and_memory(tmp_path, WORKERS, updates=3)
    state = checkpoint(tmp_path)
    assert state["optimizer_history"][-1]["num_updates"] == reached + 3
    assert int(memory(state)["commits"]) == reached + 3


def test_a_killed_worker_ends_the_training(tiny_data: Path, tmp_path: Path) -> None:
    command = launch("fairseq-train", *arguments(tiny_data, tmp_path, PLUGINS, 500))
    with subprocess.Popen(command, stderr=subprocess.STDOUT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        workers: list[int] = []
        for line in process.stdout:
            if found := re.search(rb"2 processes of 1 threads: \[(\d+), (\d+)\]", line):
                workers = [int(number) for number in found.groups()]
            if b"begin training epoch 2" in line:
                os.kill(workers[1], signal.SIGKILL)
                break
        rest = process.stdout.read().decode()
        assert process.wait(LONGEST) != 0
    assert "ended with status" in rest
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_only_programs_that_know_of_others_are_launched() -> None:
    assert_one_line(run(*launch("fairseq-score", "data")), "fairseq-score: only fairseq-train")
    assert_one_line(run(*launch("fairseq-memory", "lessons")), "fairseq-memory: only fairseq-train")


def test_hydra_is_launched_too(tiny_data: Path, tmp_path: Path) -> None:
    command = launch(
        "fairseq-hydra-train", "--config-dir", PLUGINS.parent / "configs", "--config-name",
        "multi30k_en_de", f"common.user_dir={watching(tmp_path)}", f"task.data={tiny_data}",
        "task.source_lang=xx", "task.target_lang=yy", f"checkpoint.save_dir={tmp_path}",
        f"hydra.run.dir={tmp_path}", "+model.units=16", "+model.memory_size=64",
        "optimization.max_update=4",
    )  # fmt: skip
    succeeded(run(*command))
    assert_one_model_and_memory(tmp_path, WORKERS, updates=4)
    assert checkpoint(tmp_path)["optimizer_history"][-1]["num_updates"] == 4
