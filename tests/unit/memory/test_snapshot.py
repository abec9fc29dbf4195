"""Memories as files: complete or not at all, and never the wrong one."""

import json
import math
import re
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from fairseq_plugins.memory import KeyValueMemory, snapshot, state
from fairseq_plugins.memory.fingerprint import model_fingerprint
from fairseq_plugins.memory.snapshot import (
    SnapshotError,
    SnapshotHeader,
    load_memory,
    read_header,
    restore_memory,
    save_memory,
    summarize,
)
from fairseq_plugins.memory.state import BUFFERS, LAYOUT
from tests.unit.memory.states import assert_same, lived, only_file

ROOT = Path(__file__).resolve().parents[3]


# --- Whole ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_loaded_memory_is_the_saved_one_and_lives_on_alike(tmp_path: Path, rounds: int) -> None:
    memory, path = lived(rounds=rounds), tmp_path / "memory.safetensors"
    save_memory(memory, path)
    loaded = load_memory(path)
    assert_same(memory, loaded)
    for _ in range(3):
        query, target = torch.randn(15, 6), torch.randint(9, (15,))
        memory.write(query, target)
        loaded.write(query, target)
    assert_same(memory, loaded)
    assert (loaded.neighbors, loaded.margin, loaded.age_noise, loaded.seed) == (5, 0.2, 2.0, 7)


def test_header_says_what_is_in_the_file(saved: tuple[KeyValueMemory, Path]) -> None:
    memory, path = saved
    header = read_header(path)
    assert (header.format, header.version) == ("fairseq-memory", LAYOUT)
    assert (header.size, header.key_dim, header.num_values) == (40, 6, 9)
    assert (header.neighbors, header.margin, header.age_noise, header.seed) == (5, 0.2, 2.0, 7)
    assert header.filled == len(memory) == 40
    assert header.fingerprint == "f" * 64
    assert header.extra == {"corpus": "toy", "tokens": 3}


def test_file_is_plain_safetensors_with_a_json_header(saved: tuple[KeyValueMemory, Path]) -> None:
    with safe_open(saved[1], "pt") as file:
        assert set(file.keys()) == set(BUFFERS[LAYOUT])
        assert json.loads(file.metadata()["header"])["format"] == "fairseq-memory"


def test_restoring_replaces_contents_and_drops_what_was_staged(
    saved: tuple[KeyValueMemory, Path],
) -> None:
    memory, path = saved
    other = lived()
    query = torch.randn(4, 6)
    other.query(query)
    other.stage(query, torch.zeros(4, dtype=torch.int64))
    restore_memory(other, str(path), fingerprint="f" * 64)
    assert_same(memory, other)
    assert torch.equal(memory.query(query).slots, other.query(query).slots)
    assert other.commit().pairs == 0


def test_snapshot_of_any_model_is_taken_without_a_fingerprint(
    saved: tuple[KeyValueMemory, Path],
) -> None:
    other = lived()
    restore_memory(other, saved[1])
    assert_same(saved[0], other)


def test_saving_replaces_and_leaves_nothing_else(saved: tuple[KeyValueMemory, Path]) -> None:
    memory, path = saved
    memory.clear()
    save_memory(memory, path)
    assert len(load_memory(path)) == 0
    assert only_file(path.parent) == path.name


def test_file_has_the_rights_of_any_new_file(saved: tuple[KeyValueMemory, Path]) -> None:
    plain = saved[1].with_name("plain")
    plain.touch()
    assert saved[1].stat().st_mode == plain.stat().st_mode


def test_summary_describes_the_contents(saved: tuple[KeyValueMemory, Path]) -> None:
    memory, path = saved
    summary = summarize(path)
    assert summary["filled"] == 40 and summary["commits"] == 3
    assert summary["distinct_values"] == len(set(memory.values.tolist()))
    assert summary["greatest_age"] == int(memory.ages.max())
    memory.clear()
    save_memory(memory, path)
    assert summarize(path)["mean_age"] is None


# --- Or not at all ----------------------------------------------------------------------------


def assert_refused(path: Path, *words: str) -> None:
    """One line that names the file, whatever tries to read it; and nothing is changed."""
    memory = lived()
    before = {name: buffer.clone() for name, buffer in memory.named_buffers()}
    for read in (load_memory, summarize, lambda p: restore_memory(memory, p)):
        with pytest.raises(SnapshotError) as error:
            read(path)
        message = str(error.value)
        assert str(path) in message and "\n" not in message
        assert all(word in message for word in words), message
    for name, buffer in memory.named_buffers():
        assert torch.equal(buffer, before[name])


def test_missing_file(tmp_path: Path) -> None:
    assert_refused(tmp_path / "memory.safetensors", "no such file", "save_memory")


def test_folder_in_place_of_a_file(tmp_path: Path) -> None:
    assert_refused(tmp_path, "no such file")


@pytest.mark.parametrize("length", [0, 7, 100, -1000, -1])
def test_truncated_file(saved: tuple[KeyValueMemory, Path], length: int) -> None:
    path = saved[1]
    path.write_bytes(path.read_bytes()[:length])
    assert_refused(path, "damaged or cut short", "copy it again")


def test_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("No tensors here, only words.\n" * 20)
    assert_refused(path, "damaged")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"header": "[]"}, {"header": "{"}])
def test_foreign_safetensors_file(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"weight": torch.zeros(3)}, path, metadata)
    assert_refused(path, "not a snapshot of a memory", "save_memory")


def rewrite(path: Path, **changes: object) -> None:
    """Change entries of the header, and leave the rest."""
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["header"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    header |= changes
    header = {name: entry for name, entry in header.items() if entry is not ...}
    save_file(tensors, path, {"header": json.dumps(header)})


def test_unknown_version(saved: tuple[KeyValueMemory, Path]) -> None:
    rewrite(saved[1], version=LAYOUT + 1)
    assert_refused(saved[1], f"format version {LAYOUT + 1}", "use the fairseq-memory that wrote it")


@pytest.mark.parametrize("change", [{"size": "40"}, {"margin": ...}, {"more": 1}, {"extra": []}])
def test_header_that_is_not_as_it_should_be(
    saved: tuple[KeyValueMemory, Path], change: dict[str, object]
) -> None:
    rewrite(saved[1], **change)
    assert_refused(saved[1], "its header is incomplete")


@pytest.mark.parametrize("change", [{"size": 10**12}, {"key_dim": 5}, {"num_values": 10}])
def test_tensors_that_do_not_fit_the_header(
    saved: tuple[KeyValueMemory, Path], change: dict[str, object]
) -> None:
    rewrite(saved[1], **change)
    assert_refused(saved[1], "do not have the sizes in its header")


def reseal(path: Path, **changes: object) -> None:
    """Change entries of the header or tensors, and make the checksum true again."""
    with safe_open(path, "pt") as file:
        header = SnapshotHeader(**json.loads(file.metadata()["header"]))
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name in changes.keys() & tensors.keys():
        tensors[name] = changes.pop(name)
    vars(header).update(changes)  # unchecked
    vars(header)["checksum"] = snapshot._checksum(header, tensors)
    save_file(tensors, path, {"header": json.dumps(asdict(header))})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"neighbors": 0}, "memory neighbors must be positive, not 0"),
        ({"age_noise": -1.0}, "memory age_noise must not be negative, not -1.0"),
        ({"margin": float("nan")}, "memory margin must be positive, not nan"),
        ({"margin": float("inf")}, "memory margin must be positive, not inf"),
        ({"filled": 10**9}, "header states 1000000000 filled slots"),
        ({"size": 0}, "memory size must be positive, not 0"),
    ],
)
def test_numbers_in_the_header_that_no_memory_has(
    saved: tuple[KeyValueMemory, Path], change: dict[str, object], words: str
) -> None:
    reseal(saved[1], **change)
    assert_refused(saved[1], "damaged", words)


def test_header_of_nothing_but_brackets(saved: tuple[KeyValueMemory, Path]) -> None:
    save_file({"keys": torch.zeros(1)}, saved[1], {"header": "[" * 200_000})
    assert_refused(saved[1], "not a snapshot of a memory")


def test_memory_larger_than_the_machine_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sparse file is rejected on a machine with 1 GiB; only its checksum is wrong."""
    monkeypatch.setattr(snapshot, "physical_memory", lambda: 1 << 30)
    path, slots = tmp_path / "large.safetensors", 1 << 25
    header = SnapshotHeader(slots, 4, 3, filled=0)
    entries: dict[str, object] = {"__metadata__": {"header": json.dumps(asdict(header))}}
    end = 0
    for name, (shape, dtype) in state.shapes(slots, 4, 3).items():
        begin, end = end, end + math.prod(shape) * dtype.itemsize
        entries[name] = {
            "dtype": snapshot._DTYPES[dtype], "shape": shape, "data_offsets": [begin, end]
        }  # fmt: skip
    text = json.dumps(entries).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    assert_refused(path, "has 1.5 GiB, but this machine has 1.0 GiB of main memory")


@pytest.mark.parametrize("change", [{"margin": 0.3}, {"filled": 39}, {"fingerprint": "0" * 64}])
def test_header_that_was_changed(
    saved: tuple[KeyValueMemory, Path], change: dict[str, object]
) -> None:
    rewrite(saved[1], **change)
    assert_refused(saved[1], "checksum")


@pytest.mark.parametrize(("name", "number"), [("keys", torch.nan), ("values", 9), ("recent", 40)])
def test_numbers_that_no_memory_holds(
    saved: tuple[KeyValueMemory, Path], name: str, number: float
) -> None:
    memory, path = saved
    memory.get_buffer(name)[0] = number
    with pytest.raises(
        SnapshotError, match=f"{re.escape(str(path))}: not written, because the memory is damaged"
    ):
        save_memory(memory, path)
    reseal(path, **{name: memory.get_buffer(name)})
    assert_refused(path, "impossible numbers")


@settings(max_examples=150)
@given(st.data())
def test_no_changed_byte_goes_unnoticed(
    saved: tuple[KeyValueMemory, Path], data: st.DataObject
) -> None:
    memory, path = saved
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255))
    changed = path.with_name("changed")
    changed.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
    try:
        loaded = load_memory(changed)
    except SnapshotError:
        return
    assert_same(memory, loaded)  # the byte was blank, or the same
    assert read_header(changed) == read_header(path)


def test_memory_of_another_size(saved: tuple[KeyValueMemory, Path]) -> None:
    for other in (lived(size=42), lived(key_dim=5), lived(num_values=8)):
        before = other.keys.clone()
        with pytest.raises(SnapshotError, match="40 slots x 6 dimensions x 9 values, but this one"):
            restore_memory(other, saved[1])
        assert torch.equal(other.keys, before)


def test_memory_of_another_model(saved: tuple[KeyValueMemory, Path]) -> None:
    memory, path = saved
    with pytest.raises(SnapshotError, match="belongs to another model"):
        restore_memory(lived(), path, fingerprint="0" * 64)
    with pytest.raises(SnapshotError, match="belongs to another model"):
        restore_memory(lived(), path, fingerprint="")
    save_memory(memory, path)
    with pytest.raises(SnapshotError, match="a model that it does not name"):
        restore_memory(lived(), path, fingerprint="0" * 64)


# --- Fingerprints -----------------------------------------------------------------------------


def model() -> torch.nn.ModuleDict:
    torch.manual_seed(3)
    return torch.nn.ModuleDict({"layer": torch.nn.Linear(3, 2), "norm": torch.nn.BatchNorm1d(2)})


def test_equal_models_have_equal_fingerprints() -> None:
    assert model_fingerprint(model()) == model_fingerprint(model())
    assert len(model_fingerprint(model())) == 64


def test_memories_do_not_count() -> None:
    plain, other = model(), model()
    memory = lived()
    other["memory"] = memory
    other["again"] = torch.nn.ModuleDict({"inner": memory})  # the same under a second name
    assert model_fingerprint(other) == model_fingerprint(plain)
    memory.clear()
    assert model_fingerprint(other) == model_fingerprint(plain)


@pytest.mark.parametrize("name", ["layer.weight", "layer.bias", "norm.running_mean"])
def test_every_number_counts(name: str) -> None:
    changed = model()
    changed.state_dict()[name].reshape(-1)[-1] += 1e-3
    assert model_fingerprint(changed) != model_fingerprint(model())


def test_names_and_types_count() -> None:
    zeros, integers = model(), model()
    zeros.register_buffer("zeros", torch.zeros(2))
    integers.register_buffer("zeros", torch.zeros(2, dtype=torch.int32))  # of the same bytes
    assert model_fingerprint(zeros) != model_fingerprint(integers)
    renamed = torch.nn.ModuleDict({"map": model()["layer"], "norm": model()["norm"]})
    prints = [model_fingerprint(m) for m in (model(), renamed, model().bfloat16())]
    assert len(set(prints)) == 3
