"""A checkpoint loaded to read a corpus, also with a memory of another size."""

from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_plugins import autocast
from fairseq_plugins.checkpoints.files import read_checkpoint, write_checkpoint
from fairseq_plugins.errors import InputError
from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory.state import memory_buffers
from fairseq_plugins.teaching.loaded_checkpoint import Corpus, LoadedCheckpoint, resize_memory

# --- Changing the number of slots -----------------------------------------------------------------


def resized(memory: KeyValueMemory, size: int) -> KeyValueMemory:
    state = memory.state_dict()
    resize_memory(state, memory_buffers(state)[0], size)
    result = KeyValueMemory(size, memory.key_dim, memory.num_values)
    result.load_state_dict(state)
    return result


@pytest.fixture
def memory() -> KeyValueMemory:
    """Return four of six slots filled, slot 0 with the oldest."""
    memory = KeyValueMemory(6, 4, 10)
    memory.write(torch.eye(4), torch.arange(4))
    memory.ages = torch.tensor([3, 2, 1, 0, 0, 0])
    return memory


@pytest.mark.parametrize("size", [4, 6, 20])
def test_memory_with_room_for_all_answers_as_before(memory: KeyValueMemory, size: int) -> None:
    query = torch.rand(20, 4)
    before, after = memory.query(query), resized(memory, size).query(query)
    filled = before.slots >= 0
    assert torch.equal(before.values[filled], after.values[:, : filled.shape[1]][filled])
    assert len(resized(memory, size)) == 4


def test_memory_that_gets_too_small_keeps_the_youngest(memory: KeyValueMemory) -> None:
    small = resized(memory, 2)
    assert small.values.tolist() == [2, 3]
    assert torch.equal(small.keys, torch.eye(4)[2:])
    assert small.ages.tolist() == memory.ages[2:4].tolist()


def test_last_slot_of_a_value_is_known_after_resizing(memory: KeyValueMemory) -> None:
    small = resized(memory, 2)
    assert small.recent[:5].tolist() == [-1, -1, 0, 1, -1]


# --- What cannot be loaded ------------------------------------------------------------------------


def test_drawings_are_no_corpus(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = Corpus(trained.data)
    task = type(LoadedCheckpoint(trained.last, corpus).task)
    monkeypatch.setattr(task, "target_dictionary", None)
    with pytest.raises(InputError, match=r"checkpoint_last\.pt: its memory holds classes of draw"):
        LoadedCheckpoint(trained.last, corpus)


def test_a_number_format_that_is_not_native_is_refused_before_the_checkpoint_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(autocast, "native_bfloat16", lambda device: False)
    with pytest.raises(InputError, match="--autocast bfloat16"):
        LoadedCheckpoint(Path("nosuch.pt"), Corpus(None), autocast="bfloat16")


def test_model_without_memory_is_named(trained: Any, tmp_path: Path) -> None:
    state = read_checkpoint(trained.last)
    for name in memory_buffers(state["model"])[0].values():
        del state["model"][name]
    write_checkpoint(state, tmp_path / "plain.pt")
    with pytest.raises(InputError, match=r"plain\.pt: has no memory to fill"):
        LoadedCheckpoint(tmp_path / "plain.pt", Corpus(trained.data))
