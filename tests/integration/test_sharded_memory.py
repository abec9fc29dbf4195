"""Processes that divide a memory train, fill and translate as one process does."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import torch

from fairseq_plugins.commands import read_hypotheses
from fairseq_plugins.memory.state import fault, memory_buffers
from tests.integration.learned import checkpoint, languages
from tests.integration.watching import assert_equal, seen, watching
from tests.programs import LONGEST, fairseq, run, succeeded, verb
from tests.tiny_training import LINES, WORKERS, Training, launch, train_by_workers, training_options

pytestmark = pytest.mark.integration

UPDATES = 3
SIZE, KEY_DIM = 64, 8


def memories(path: Path) -> list[dict[str, torch.Tensor]]:
    """Return the memory in a checkpoint, and that of its moving average."""
    state = torch.load(path, weights_only=True)
    models = [state["model"], state["extra_state"]["ema"]]
    return [{n: model[full] for n, full in memory_buffers(model)[0].items()} for model in models]


def translations(output: str) -> list[str]:
    return [line for line in output.splitlines() if line[:2] in ("S-", "H-", "P-")]


@pytest.fixture(scope="module")
def folder(trained: Training, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two workers went on from the checkpoint of one, with a divided memory."""
    folder = tmp_path_factory.mktemp("sharded")
    shutil.copy(trained.folder / "checkpoint1.pt", folder / "checkpoint_last.pt")
    reached = checkpoint(folder)["optimizer_history"][-1]["num_updates"]
    options = training_options(folder, reached + UPDATES, watching(folder))
    log = train_by_workers(trained.data, *options, "--memory-sharded")
    assert re.search(rf"Loaded checkpoint .*checkpoint_last\.pt .*@ {reached} updates", log)
    return folder


def test_workers_train_with_a_divided_memory(folder: Path) -> None:
    updates = [len(worker) for worker in seen(folder, WORKERS)]
    assert updates == [UPDATES] * WORKERS
    for memory in memories(folder / "checkpoint_last.pt"):
        assert fault(memory) is None
        assert memory["keys"].shape == (SIZE, KEY_DIM)
        assert bool((memory["keys"][memory["values"] >= 0] != 0).any(dim=1).all())


def test_one_process_and_two_translate_alike(folder: Path, trained: Training) -> None:
    options = [trained.data, *languages(), "--path", folder / "checkpoint_last.pt", "--beam", 2,
               "--max-len-b", 5]  # fmt: skip
    alone = succeeded(fairseq("generate", *options))
    results = folder / "results"
    succeeded(run(*launch("fairseq-generate", *options, "--results-path", results)))
    assert translations((results / "generate-test.txt").read_text()) == translations(alone)
    expected = read_hypotheses(alone.splitlines())
    assert len(expected) == LINES["test"]
    lines = (trained.text / "test.xx").read_text().splitlines(keepends=True)[:2]
    done = run(*launch("fairseq-interactive", *options, "--input", "-"), stdin="".join(lines))
    assert read_hypotheses(succeeded(done).splitlines()) == expected[:2]


def test_one_process_and_two_fill_alike(trained: Training, tmp_path: Path) -> None:
    arguments = ["fill", "--path", trained.last, "--data", trained.data, "--memory-size", 300,
                 "--memory-sharded", "--calibrate", "valid", "--cpu"]  # fmt: skip
    one, two = tmp_path / "one.pt", tmp_path / "two.pt"
    report = succeeded(verb(*arguments, "--clear", "--output", one))
    again = succeeded(run(*launch("fairseq-memory", *arguments, "--clear", "--output", two)))
    assert again.count("tokens remembered") == report.count("tokens remembered") == 1
    for found, expected in zip(memories(two), memories(one), strict=True):
        assert_equal(found, expected, "memory")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.pt", "two.pt"]


def test_a_process_that_dies_ends_the_others(folder: Path, trained: Training) -> None:
    options = [trained.data, *languages(), "--path", folder / "checkpoint_last.pt", "--input", "-"]
    command = launch("fairseq-interactive", *options, "--max-len-b", 5)
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, **streams, text=True) as process:
        process.stdin.write("w1 w2\n")
        process.stdin.flush()
        for line in process.stdout:
            if found := re.search(r"2 processes of 1 threads: \[\d+, (\d+)\]", line):
                other = int(found[1])
            if "creating new batches" in line:  # rank 0 has begun to translate
                os.kill(other, signal.SIGKILL)
                break
        rest = process.stdout.read()
        assert process.wait(LONGEST) != 0
    assert "Rank 1 ended with status -9; ending the others" in rest
    assert "Traceback" not in rest
