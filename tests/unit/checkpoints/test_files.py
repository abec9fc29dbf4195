"""Reading, writing and finding checkpoints."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq import checkpoint_utils

from fairseq_plugins.checkpoints import files as checkpoints
from fairseq_plugins.checkpoints.files import (
    for_use,
    last_checkpoints,
    read_checkpoint,
    write_checkpoint,
)
from fairseq_plugins.errors import InputError
from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory.state import BUFFERS, memory_buffers


def test_what_is_written_is_read(trained: Any, tmp_path: Path) -> None:
    state = read_checkpoint(trained.last)
    write_checkpoint(state, tmp_path / "new" / "copy.pt")
    copy = read_checkpoint(tmp_path / "new" / "copy.pt")
    assert copy["cfg"] == state["cfg"]
    assert all(torch.equal(copy["model"][name], state["model"][name]) for name in state["model"])


def test_parsed_configuration_is_written_plainly(trained: Any, tmp_path: Path) -> None:
    parsed = checkpoint_utils.load_checkpoint_to_cpu(str(trained.last))
    write_checkpoint(parsed, tmp_path / "copy.pt")
    assert read_checkpoint(tmp_path / "copy.pt")["cfg"] == read_checkpoint(trained.last)["cfg"]


def test_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.pt"
    path.write_text("old")

    def save(_: object, file: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.torch, "save", save)
    with pytest.raises(OSError):
        write_checkpoint({"model": {}}, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"PK\x03\x04 nonsense")
    with pytest.raises(InputError, match=r"a\.pt: damaged"):
        read_checkpoint(tmp_path / "a.pt")


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_last_epochs_in_numerical_order(tmp_path: Path) -> None:
    touch(tmp_path, "checkpoint9.pt", "checkpoint10.pt", "checkpoint2.pt", "checkpoint_best.pt",
          "checkpoint_1_900.pt")  # fmt: skip
    names = [path.name for path in last_checkpoints(tmp_path, 2)]
    assert names == ["checkpoint10.pt", "checkpoint9.pt"]


def test_without_epochs_the_last_updates(tmp_path: Path) -> None:
    touch(tmp_path, "checkpoint_1_900.pt", "checkpoint_2_1000.pt", "checkpoint_last.pt")
    names = [path.name for path in last_checkpoints(tmp_path, 2)]
    assert names == ["checkpoint_2_1000.pt", "checkpoint_1_900.pt"]


def test_too_few_checkpoints_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "checkpoint1.pt")
    with pytest.raises(InputError, match="contains 1 numbered checkpoints, not 2"):
        last_checkpoints(tmp_path, 2)


# --- Memories in them -----------------------------------------------------------------------------


def test_old_memories_in_a_checkpoint_are_brought_up_to_date(tmp_path: Path) -> None:
    memory = KeyValueMemory(4, 3, 5)
    memory.write(torch.eye(3), torch.arange(3))
    old = {f"memory.{name}": memory.get_buffer(name) for name in BUFFERS[1] if name != "ages"}
    old["memory.ages"] = memory.ages
    state = {"model": old, "optimizer_history": [{"num_updates": 3}], "extra_state": {"ema": old}}
    torch.save(state, tmp_path / "old.pt")
    state = read_checkpoint(tmp_path / "old.pt")
    for weights in (state["model"], state["extra_state"]["ema"]):
        for name, buffer in memory.named_buffers():
            assert torch.equal(weights[f"memory.{name}"], buffer)
        assert "memory.ages" not in weights


@pytest.mark.parametrize("broken", [[1, 2], None, torch.ones(4), torch.full((4,), 10**6)])
@pytest.mark.parametrize("read", [read_checkpoint, checkpoint_utils.load_checkpoint_to_cpu])
@pytest.mark.parametrize("average", [False, True])
def test_damaged_memory_is_refused_by_all_that_read_checkpoints(
    trained: Any, tmp_path: Path, read: Callable, average: bool, broken: Any
) -> None:
    state, path = read_checkpoint(trained.last), tmp_path / "damaged.pt"
    if average:
        state["extra_state"]["ema"] = dict(state["model"])
    weights = state["extra_state"]["ema"] if average else state["model"]
    weights[memory_buffers(weights)[0]["values"]] = broken
    write_checkpoint(state, path)
    with pytest.raises(
        InputError, match=f"{re.escape(str(path))}: its memory is damaged .values .*; go back"
    ):
        read(path if read is read_checkpoint else str(path))


@pytest.mark.parametrize(
    ("name", "broken", "reason"),
    [
        ("cues", None, "is not a tensor"),
        ("pieces", [1], "is not a tensor"),
        ("cues", torch.ones(3, dtype=torch.int64), "pieces of its 3 terms are .0, 0. torch.int64"),
        ("pieces", torch.ones(0, 2), "pieces of its 0 terms are .0, 2. torch.float32"),
    ],
)
def test_damaged_terms_are_refused(
    trained: Any, tmp_path: Path, name: str, broken: Any, reason: str
) -> None:
    state, path = read_checkpoint(trained.last), tmp_path / "damaged.pt"
    state["model"][f"decoder.terms.memory.{name}"] = broken
    write_checkpoint(state, path)
    with pytest.raises(
        InputError, match=f"{re.escape(str(path))}: its memory is damaged .*{reason}"
    ):
        read_checkpoint(path)


def test_what_only_training_needs_is_left_out() -> None:
    extra = {"ema": {}, "ema_fp32_params": {}, "corpora": {"names": [], "texts": ""}}
    state = {"model": {}, "cfg": {}, "last_optimizer_state": {}, "criterion": ""}
    state["extra_state"] = extra
    assert for_use(state) == {
        "model": {}, "cfg": {}, "last_optimizer_state": None,
        "extra_state": {"corpora": {"names": [], "texts": ""}},
    }  # fmt: skip
