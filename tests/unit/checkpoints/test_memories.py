"""Memories out of checkpoints and back: nothing is lost, nothing foreign gets in."""

from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq import checkpoint_utils

from fairseq_plugins.checkpoints.files import read_checkpoint, write_checkpoint
from fairseq_plugins.checkpoints.memories import MemoryOfCheckpoint
from fairseq_plugins.errors import InputError
from fairseq_plugins.memory.snapshot import load_memory
from fairseq_plugins.memory.state import memory_buffers


def buffers(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The memory's buffers by their short names."""
    weights = read_checkpoint(checkpoint)["model"]
    return {name: weights[full] for name, full in memory_buffers(weights)[0].items()}


def forgetful(trained: Any, folder: Path) -> Path:
    """The same checkpoint with an empty memory."""
    state = read_checkpoint(trained.last)
    names = memory_buffers(state["model"])[0]
    state["model"][names["values"]].fill_(-1)
    state["model"][names["keys"]].zero_()
    write_checkpoint(state, folder / "empty.pt")
    return folder / "empty.pt"


def test_saved_memory_is_the_checkpoints(trained: Any, tmp_path: Path) -> None:
    header = MemoryOfCheckpoint(trained.last).save(tmp_path / "m.safetensors")
    memory = load_memory(tmp_path / "m.safetensors")
    assert header.filled == len(memory) > 0
    expected = buffers(trained.last)
    assert all(torch.equal(buffer, expected[name]) for name, buffer in memory.named_buffers())


def test_restored_checkpoint_has_its_memory_back(trained: Any, tmp_path: Path) -> None:
    MemoryOfCheckpoint(trained.last).save(tmp_path / "m.safetensors")
    emptied = MemoryOfCheckpoint(forgetful(trained, tmp_path))
    emptied.restore(tmp_path / "m.safetensors", tmp_path / "back.pt")
    before, after = read_checkpoint(trained.last)["model"], read_checkpoint(tmp_path / "back.pt")
    assert all(torch.equal(before[name], after["model"][name]) for name in before)


def test_restored_memory_is_asked_however_early(trained: Any, tmp_path: Path) -> None:
    MemoryOfCheckpoint(trained.last).save(tmp_path / "m.safetensors")
    state = read_checkpoint(trained.last)
    state["cfg"]["model"]["memory_from_update"] = 10_000
    write_checkpoint(state, tmp_path / "early.pt")
    MemoryOfCheckpoint(tmp_path / "early.pt").restore(
        tmp_path / "m.safetensors", tmp_path / "back.pt"
    )
    models, _ = checkpoint_utils.load_model_ensemble([str(tmp_path / "back.pt")])
    assert models[0].decoder.asks


def test_snapshot_of_other_weights_is_refused(trained: Any, tmp_path: Path) -> None:
    MemoryOfCheckpoint(trained.last).save(tmp_path / "m.safetensors")
    other = MemoryOfCheckpoint(trained.last)
    other.weights["decoder.output.bias"] = other.weights["decoder.output.bias"] + 1
    with pytest.raises(InputError, match=r"other weights.*--any-model"):
        other.restore(tmp_path / "m.safetensors", tmp_path / "no.pt")
    assert not (tmp_path / "no.pt").exists()
    other.restore(tmp_path / "m.safetensors", tmp_path / "yes.pt", any_model=True)
    assert (tmp_path / "yes.pt").exists()


def test_snapshot_with_other_keys_is_refused(trained: Any, tmp_path: Path) -> None:
    MemoryOfCheckpoint(trained.last).save(tmp_path / "m.safetensors")
    other = MemoryOfCheckpoint(trained.last)
    other.weights[other.names["keys"]] = torch.zeros(64, 9)
    with pytest.raises(InputError, match="have 9 for"):
        other.restore(tmp_path / "m.safetensors", tmp_path / "no.pt", any_model=True)


def test_checkpoint_without_memory_is_named(trained: Any, tmp_path: Path) -> None:
    state = read_checkpoint(trained.last)
    for name in memory_buffers(state["model"])[0].values():
        del state["model"][name]
    write_checkpoint(state, tmp_path / "none.pt")
    with pytest.raises(InputError, match=r"none.pt: holds no memory"):
        MemoryOfCheckpoint(tmp_path / "none.pt")
