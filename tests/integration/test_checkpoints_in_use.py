"""Checkpoints through fairseq's programs: resumed, shared by workers, refused."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_plugins.experiments.launching import free_port
from fairseq_plugins.memory.state import memory_buffers

pytestmark = pytest.mark.integration


def last(folder: Path) -> dict:
    return torch.load(folder / "checkpoint_last.pt", weights_only=True)


def same_weights(one: dict, other: dict) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_resumed_training_ends_as_an_uninterrupted_one(trained: Any, tmp_path: Path) -> None:
    shutil.copy(trained.folder / "checkpoint_1_10.pt", tmp_path / "checkpoint_last.pt")
    done = trained.fairseq("train", trained.data, *trained.options(tmp_path, 20))
    assert done.returncode == 0, done.stderr
    resumed, whole = last(tmp_path), last(trained.folder)
    assert same_weights(resumed["model"], whole["model"])
    assert same_weights(resumed["extra_state"]["ema"], whole["extra_state"]["ema"])


def test_two_workers_resume_with_one_memory(trained: Any, tmp_path: Path) -> None:
    shutil.copy(trained.folder / "checkpoint1.pt", tmp_path / "checkpoint_last.pt")
    updates = last(tmp_path)["optimizer_history"][-1]["num_updates"] + 3
    port = free_port()

    def worker(rank: int) -> subprocess.CompletedProcess:
        return trained.fairseq(
            "train", trained.data, *trained.options(tmp_path, updates), "--disable-validation",
            "--distributed-world-size", 2, "--distributed-rank", rank, "--device-id", 0,
            "--distributed-no-spawn", "--distributed-backend", "gloo", "--ddp-backend",
            "legacy_ddp", "--distributed-init-method", f"tcp://127.0.0.1:{port}",
        )  # fmt: skip

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(worker, range(2)))
    assert [process.returncode for process in done] == [0, 0], done[0].stderr + done[1].stderr
    state = last(tmp_path)
    assert state["optimizer_history"][-1]["num_updates"] == updates
    commits = memory_buffers(state["model"])[0]["commits"]
    assert int(state["model"][commits]) == updates


def generate(trained: Any, path: Path, data: Path | None = None, **more: object) -> Any:
    options = [part for name, value in more.items() for part in (f"--{name}", value)]
    return trained.fairseq(
        "generate", data or trained.data, "--user-dir", trained.plugins, "--task",
        "translation_memory", "-s", "xx", "-t", "yy", "--path", path, "--cpu", *options,
    )  # fmt: skip


def assert_one_line(done: subprocess.CompletedProcess, *parts: str) -> None:
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and done.stderr.splitlines()[-1] == errors[0]
    assert all(part in errors[0] for part in parts), errors[0]


class Malicious:
    """Ends the process with a strange status when it is unpickled."""

    def __reduce__(self) -> tuple:
        return sys.exit, (33,)


def test_malicious_checkpoint_is_not_translated_with(trained: Any, tmp_path: Path) -> None:
    path = tmp_path / "evil.pt"
    torch.save(last(trained.folder) | {"extra": Malicious()}, path)
    assert_one_line(generate(trained, path), "evil.pt: refused", "sys.exit")


def test_malicious_checkpoint_is_not_resumed(trained: Any, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint_last.pt"
    torch.save(last(trained.folder) | {"extra": Malicious()}, path)
    before = path.read_bytes()
    done = trained.fairseq("train", trained.data, *trained.options(tmp_path, 30))
    assert_one_line(done, "checkpoint_last.pt: refused", "sys.exit")
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_truncated_checkpoint_is_named(trained: Any, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint_last.pt"
    path.write_bytes(trained.last.read_bytes()[:-1000])
    assert_one_line(generate(trained, path), "checkpoint_last.pt: damaged, cut short")


def test_hydra_shows_one_line_too(trained: Any, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint_last.pt"
    path.write_bytes(trained.last.read_bytes()[:-1000])
    done = trained.fairseq(
        "hydra-train", "--config-dir", trained.plugins.parent / "configs", "--config-name",
        "multi30k_en_de", f"common.user_dir={trained.plugins}", f"task.data={trained.data}",
        "task.source_lang=xx", "task.target_lang=yy", f"checkpoint.save_dir={tmp_path}",
        f"hydra.run.dir={tmp_path}/hydra",
    )  # fmt: skip
    assert_one_line(done, "checkpoint_last.pt: damaged, cut short")


def test_other_vocabulary_is_named(trained: Any, tmp_path: Path) -> None:
    other = tmp_path / "data"
    shutil.copytree(trained.data, other)
    for name in ("dict.xx.txt", "dict.yy.txt"):
        with (other / name).open("a") as file:
            file.write("more 1\nwords 1\n")
    done = generate(trained, trained.last, other)
    assert_one_line(done, "dict.xx.txt of the data is not the dictionary", "data folder")


@pytest.mark.parametrize(
    "way", [["--finetune-from-model"], ["--reset-dataloader", "--restore-file"]]
)
def test_other_dictionaries_are_named_when_trained_on(
    trained: Any, tmp_path: Path, way: list[str]
) -> None:
    other = tmp_path / "data"
    shutil.copytree(trained.data, other)
    for path in other.glob("dict.*.txt"):
        path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    done = trained.fairseq("train", other, *trained.options(tmp_path, 30), *way, trained.last)
    assert_one_line(done, "txt of the data is not the dictionary")


def test_other_memory_is_named_on_resume(trained: Any, tmp_path: Path) -> None:
    shutil.copy(trained.last, tmp_path / "checkpoint_last.pt")
    options = [*trained.options(tmp_path, 30), "--memory-size", 99]
    done = trained.fairseq("train", trained.data, *options)
    assert_one_line(done, "its memory has 64 slots of 8", "--memory-size 64")


def test_missing_checkpoint_is_named(trained: Any, tmp_path: Path) -> None:
    assert_one_line(generate(trained, tmp_path / "no.pt"), "no.pt")
