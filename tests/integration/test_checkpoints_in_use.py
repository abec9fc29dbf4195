"""Checkpoints in fairseq's programs: what does not fit is rejected in one line."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.programs import assert_one_line, fairseq
from tests.tiny_training import PLUGINS, Training, training_options

pytestmark = pytest.mark.integration


def last(folder: Path) -> dict:
    return torch.load(folder / "checkpoint_last.pt", weights_only=True)


def generate(
    trained: Training, path: Path, data: Path | None = None, **more: object
) -> subprocess.CompletedProcess[str]:
    options = [part for name, value in more.items() for part in (f"--{name}", value)]
    return fairseq(
        "generate", data or trained.data, "--user-dir", PLUGINS, "--task",
        "translation_memory", "-s", "xx", "-t", "yy", "--path", path, "--cpu", *options,
    )  # fmt: skip


class Malicious:
    """Ends the process with a strange status when it is unpickled."""

    def __reduce__(self) -> tuple:
        return sys.exit, (33,)


def test_malicious_checkpoint_is_not_translated_with(trained: Training, tmp_path: Path) -> None:
    path = tmp_path / "evil.pt"
    torch.save(last(trained.folder) | {"extra": Malicious()}, path)
    assert_one_line(generate(trained, path), "evil.pt: refused", "sys.exit")


def test_malicious_checkpoint_is_not_resumed(trained: Training, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint_last.pt"
    torch.save(last(trained.folder) | {"extra": Malicious()}, path)
    before = path.read_bytes()
    done = fairseq("train", trained.data, *training_options(tmp_path, 30))
    assert_one_line(done, "checkpoint_last.pt: refused", "sys.exit")
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_truncated_checkpoint_is_named(trained: Training, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint_last.pt"
    path.write_bytes(trained.last.read_bytes()[:-1000])
    assert_one_line(generate(trained, path), "checkpoint_last.pt: damaged, cut short")


def test_hydra_shows_one_line_too(trained: Training, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint_last.pt"
    path.write_bytes(trained.last.read_bytes()[:-1000])
    done = fairseq(
        "hydra-train", "--config-dir", PLUGINS.parent / "configs", "--config-name",
        "multi30k_en_de", f"common.user_dir={PLUGINS}", f"task.data={trained.data}",
        "task.source_lang=xx", "task.target_lang=yy", f"checkpoint.save_dir={tmp_path}",
        f"hydra.run.dir={tmp_path}/hydra",
    )  # fmt: skip
    assert_one_line(done, "checkpoint_last.pt: damaged, cut short")


def test_other_vocabulary_is_named(trained: Training, tmp_path: Path) -> None:
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
    trained: Training, tmp_path: Path, way: list[str]
) -> None:
    other = tmp_path / "data"
    shutil.copytree(trained.data, other)
    for path in other.glob("dict.*.txt"):
        path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    done = fairseq("train", other, *training_options(tmp_path, 30), *way, trained.last)
    assert_one_line(done, "txt of the data is not the dictionary")


def test_other_memory_is_named_on_resume(trained: Training, tmp_path: Path) -> None:
    shutil.copy(trained.last, tmp_path / "checkpoint_last.pt")
    options = [*training_options(tmp_path, 30), "--memory-size", 99]
    done = fairseq("train", trained.data, *options)
    assert_one_line(done, "its memory has 64 slots of width 8", "--memory-size 64")


def test_missing_checkpoint_is_named(trained: Training, tmp_path: Path) -> None:
    assert_one_line(generate(trained, tmp_path / "no.pt"), "no.pt")


@pytest.mark.parametrize("name", ["generate", "interactive", "validate"])
def test_overrides_of_no_option_are_named(trained: Training, name: str) -> None:
    done = fairseq(
        name, trained.data, "--user-dir", PLUGINS, "--task", "translation_memory", "-s", "xx",
        "-t", "yy", "--path", trained.last, "--cpu", "--batch-size", 1, "--model-overrides",
        "{'dropout': 0, 'dropuot': 0}", stdin="w1\n",
    )  # fmt: skip
    assert_one_line(done, "has no option of its model, task or criterion named dropuot (the")
