"""The index in a file: read instead of made, and made whenever the file is not to be trusted."""

import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory.search import ApproximateSearch, stored_index
from fairseq_plugins.memory.search.stored_index import _digest

DIM = 6
INDEX = "index.safetensors"


def memory_with(search: str = "ivf", seed: int = 1, keys: int = 300) -> KeyValueMemory:
    """Return a memory with holes that uses an index."""
    memory = KeyValueMemory(400, DIM, 50, neighbors=4, search=search)
    if isinstance(memory._search.others, ApproximateSearch):
        memory._search.others.least = 100
    memory.write(unit(keys, seed), torch.arange(keys) % 50)
    memory.forget(torch.arange(0, 90, 3))
    return memory


def unit(rows: int, seed: int) -> Tensor:
    numbers = torch.randn(rows, DIM, generator=torch.Generator().manual_seed(seed))
    return F.normalize(numbers, dim=1)


def fits_of(memory: KeyValueMemory) -> list[int]:
    """Return a list to which the number of keys is added when the index is made."""
    fits: list[int] = []
    index = memory._search.others.index  # type: ignore[attr-defined]
    plain = index.fit
    index.fit = lambda keys, slots: fits.append(len(slots)) or plain(keys, slots)
    return fits


def opened(memory: KeyValueMemory, path: Path) -> tuple[KeyValueMemory, list[int]]:
    """Return a memory with the same contents that may use a file, and what it makes."""
    same = memory_with("ivf", seed=9)
    same.load_state_dict(memory.state_dict())
    same.read_index(path)
    return same, fits_of(same)


def assert_answers_alike(one: KeyValueMemory, other: KeyValueMemory) -> None:
    ours, theirs = (memory.query(unit(40, 5)) for memory in (one, other))
    assert torch.equal(ours.slots, theirs.slots)
    assert torch.equal(ours.similarities, theirs.similarities)


def test_it_is_read_and_not_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    memory = memory_with()
    memory.write_index(tmp_path / INDEX)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        same, fits = opened(memory, tmp_path / INDEX)
        assert_answers_alike(memory, same)
    assert fits == [] and "for 270 keys, read in" in caplog.text


def test_an_index_that_was_read_lives_on(tmp_path: Path) -> None:
    memory = memory_with()
    memory.write_index(tmp_path / INDEX)
    same, fits = opened(memory, tmp_path / INDEX)
    for one in (memory, same):
        one.teach(unit(5, 2), torch.arange(5), origin=1)  # even before the first search
        one.query(unit(1, 3))
        one.write(unit(60, 3), torch.arange(60) % 50)
        one.forget(torch.arange(200, 230))
    assert_answers_alike(memory, same)
    assert fits == []


def test_what_is_written_was_made_for_these_keys(tmp_path: Path) -> None:
    memory = memory_with()
    memory.write_index(tmp_path / INDEX)
    fits = fits_of(memory)
    memory.write_index(tmp_path / INDEX)
    assert fits == []
    memory.write(unit(50, 4), torch.arange(50))
    memory.write_index(tmp_path / INDEX)
    assert len(fits) == 1
    same, fits = opened(memory, tmp_path / INDEX)
    assert_answers_alike(memory, same)
    assert fits == []


@pytest.mark.parametrize("search", ["exact", "lsh", "faiss:IVF4,SQ8", "few keys"])
def test_nothing_is_written_that_is_made_quickly(search: str, tmp_path: Path) -> None:
    memory = memory_with("ivf", keys=90) if search == "few keys" else memory_with(search)
    memory.write_index(tmp_path / INDEX)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / INDEX
    memory_with().write_index(path)
    old = path.read_bytes()

    def full(*_: object) -> None:
        raise SafetensorError("No space left on device")

    monkeypatch.setattr(stored_index, "save_file", full)
    with pytest.raises(
        OSError, match=f"cannot write {re.escape(str(path))}: No space left on device; free"
    ):
        memory_with(seed=2).write_index(path)
    assert path.read_bytes() == old and list(tmp_path.iterdir()) == [path]


def forged(**changes: Tensor) -> Callable[[Path], None]:
    """Return what changes tensors of a file and its checksum with them."""

    def harm(path: Path) -> None:
        with safe_open(path, framework="pt") as file:
            about, tensors = file.metadata(), load_file(path)
        for name, change in changes.items():
            tensors[name][-1:] = change
        about["checksum"] = _digest([tensors["centroids"], tensors["lists"]])
        save_file(tensors, path, about)

    return harm


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


HARMS: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "empty": lambda path: path.write_bytes(b""),
    "of nothing we know": lambda path: path.write_bytes(b"IwFl" * 300),
    "cut": cut,
    "damaged": damage,
    "of another version": lambda path: save_file({"lists": torch.zeros(270)}, path),
    "of another memory": lambda path: memory_with(seed=2).write_index(path),
    "of other slots": lambda path: memory_with(keys=310).write_index(path),
    "a list that is none": forged(lists=torch.tensor(16, dtype=torch.int32)),
    "a centroid that is none": forged(centroids=torch.tensor(torch.nan)),
}


@pytest.mark.parametrize("harm", HARMS)
def test_otherwise_it_is_made(harm: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    memory = memory_with()
    memory.write_index(tmp_path / INDEX)
    HARMS[harm](tmp_path / INDEX)
    same, fits = opened(memory, tmp_path / INDEX)
    caplog.clear()
    with caplog.at_level(logging.INFO, "fairseq_plugins.memory"):
        assert_answers_alike(memory, same)
    assert fits == [270]
    told = [line for line in caplog.messages if "made again" in line]
    assert len(told) == (harm not in ("missing", "a folder"))
    same.query(unit(2, 6))
    assert fits == [270]


def test_an_index_of_another_kind_is_not_used(tmp_path: Path) -> None:
    memory = memory_with()
    memory.write_index(tmp_path / INDEX)
    other = memory_with("faiss:IVF4,Flat", seed=9)
    other.load_state_dict(memory.state_dict())
    other.read_index(tmp_path / INDEX)
    fits = fits_of(other)
    other.query(unit(2, 6))
    assert fits == [270]
