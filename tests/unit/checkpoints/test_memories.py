"""Memories are taken out of checkpoints and put back without loss, and only if they fit."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq import checkpoint_utils
from safetensors.torch import save_file

from fairseq_plugins.checkpoints.files import read_checkpoint, write_checkpoint
from fairseq_plugins.checkpoints.memories import MemoryOfCheckpoint
from fairseq_plugins.errors import InputError
from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory import snapshot as snapshot_module
from fairseq_plugins.memory.fingerprint import model_fingerprint, weights_fingerprint
from fairseq_plugins.memory.snapshot import (
    load_memory,
    save_memory,
)
from fairseq_plugins.memory.state import BUFFERS, memory_buffers
from fairseq_plugins.patches.memory_files import models_in


def buffers(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Return the memory's buffers by their short names."""
    weights = read_checkpoint(checkpoint)["model"]
    return {name: weights[full] for name, full in memory_buffers(weights)[0].items()}


def forgetful(trained: Any, folder: Path) -> Path:
    """Return the same checkpoint with an empty memory."""
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
    before, after = read_checkpoint(trained.last), read_checkpoint(tmp_path / "back.pt")
    for old, new in zip(models_in(before), models_in(after), strict=True):  # and the averages
        assert all(torch.equal(old[name], new[name]) for name in old)
    assert len(models_in(before)) > 1


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
    with pytest.raises(InputError, match=r"weights other than.*--any-model"):
        other.restore(tmp_path / "m.safetensors", tmp_path / "no.pt")
    assert not (tmp_path / "no.pt").exists()
    other.restore(tmp_path / "m.safetensors", tmp_path / "yes.pt", any_model=True)
    assert (tmp_path / "yes.pt").exists()


def calibrated(trained: Any, folder: Path) -> Path:
    """Return the same checkpoint with other trust in its memory."""
    state = read_checkpoint(trained.last)
    own = [name for name in state["model"] if "gate." in name or "log_temperature" in name]
    assert len(own) == 3
    for name in own:
        state["model"][name] = state["model"][name] + 1
    write_checkpoint(state, folder / "calibrated.pt")
    return folder / "calibrated.pt"


def test_snapshot_fits_when_only_the_trust_in_it_has_changed(trained: Any, tmp_path: Path) -> None:
    snapshot = tmp_path / "m.safetensors"
    MemoryOfCheckpoint(trained.last).save(snapshot)
    other = MemoryOfCheckpoint(calibrated(trained, tmp_path))
    other.restore(snapshot, tmp_path / "back.pt")
    before, after = (read_checkpoint(path)["model"] for path in (other.path, tmp_path / "back.pt"))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_fingerprint_of_a_checkpoint_is_that_of_its_model(trained: Any, tmp_path: Path) -> None:
    for path in (trained.last, calibrated(trained, tmp_path)):
        models, _ = checkpoint_utils.load_model_ensemble([str(path)])
        assert model_fingerprint(models[0]) == MemoryOfCheckpoint(path).fingerprint()


def test_snapshot_of_the_first_version_still_fits(trained: Any, tmp_path: Path) -> None:
    """Its fingerprint covers all weights but the memory; terms did not exist then."""
    checkpoint, snapshot = MemoryOfCheckpoint(trained.last), tmp_path / "old.safetensors"
    left_out = [*checkpoint.names.values(), "decoder.terms."]
    old = weights_fingerprint(checkpoint.weights, left_out)
    assert checkpoint.fingerprint(version=1) == old != checkpoint.fingerprint()
    save_version_1(checkpoint.memory(), snapshot, old)
    checkpoint.restore(snapshot, tmp_path / "back.pt")
    other = MemoryOfCheckpoint(calibrated(trained, tmp_path))
    with pytest.raises(InputError, match="weights other than"):
        other.restore(snapshot, tmp_path / "no.pt")


def save_version_1(memory: KeyValueMemory, path: Path, fingerprint: str) -> None:
    """Write a snapshot as it was written before memories could be taught."""
    header = save_memory(memory, path, fingerprint)
    buffers = dict(memory.named_buffers()) | {"ages": memory.ages}
    tensors = {name: buffers[name] for name in BUFFERS[1]}
    header = replace(header, version=1, checksum="")
    header = replace(header, checksum=snapshot_module._checksum(header, tensors))
    save_file(tensors, path, {"header": json.dumps(asdict(header))})


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
    with pytest.raises(InputError, match=r"none.pt: has no memory"):
        MemoryOfCheckpoint(tmp_path / "none.pt")
