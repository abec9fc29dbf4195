"""A memory in a file beside its checkpoint: read and written together, or not at all."""

import itertools
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq import checkpoint_utils
from safetensors.torch import load_file

from fairseq_plugins.checkpoints.files import read_checkpoint, write_checkpoint
from fairseq_plugins.checkpoints.memories import MemoryOfCheckpoint
from fairseq_plugins.errors import InputError
from fairseq_plugins.memory import KeyValueMemory, memories_in, search
from fairseq_plugins.patches.memory_files import index_beside
from fairseq_plugins.teaching import Translator
from fairseq_plugins.teaching.folder import pack
from tests.tiny_translator import make_parts

MEMORY = "decoder.reader.memory."


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Return a checkpoint of an untrained translator with a filled memory, stored beside it."""
    make_parts(tmp_path / "parts", memory_storage="mmap")
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(filled(tmp_path / "parts" / "checkpoint.pt", 1), path)
    return path


def filled(path: Path, seed: int) -> dict[str, Any]:
    """Return the contents of a checkpoint, with another memory and a moving average."""
    state = read_checkpoint(path)
    memory = KeyValueMemory(64, 12, len(state["model"][MEMORY + "recent"]))
    query = torch.randn(40, 12, generator=torch.Generator().manual_seed(seed))
    memory.write(query, torch.arange(40))
    state["model"] |= {MEMORY + name: buffer for name, buffer in memory.named_buffers()}
    state["extra_state"]["ema"] = dict(state["model"])
    return state


def load(path: Path, **options: Any) -> KeyValueMemory:
    options["data"] = str(path.parent / "parts" / "data")
    (model,), _, _ = checkpoint_utils.load_model_ensemble_and_task(
        [str(path)], arg_overrides=options
    )
    return memories_in(model)[0]


def files_of(path: Path) -> list[str]:
    return sorted(name for name in os.listdir(path.parent) if name != "parts")


def assert_holds(path: Path, expected: dict[str, Any]) -> None:
    found = read_checkpoint(path)
    assert found.keys() == expected.keys()
    for one, other in (
        (found["model"], expected["model"]),
        (found["extra_state"]["ema"], expected["extra_state"]["ema"]),
    ):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_memory_is_beside_the_checkpoint_not_in_it(made: Path) -> None:
    assert files_of(made) == ["checkpoint.memory-1.safetensors", "checkpoint.pt"]
    inside = torch.load(made, weights_only=True)
    assert not [name for name in inside["model"] if name.startswith(MEMORY)]
    assert not [name for name in inside["extra_state"]["ema"] if name.startswith(MEMORY)]
    assert_holds(made, filled(made.parent / "parts" / "checkpoint.pt", 1))


def test_keys_are_mapped_and_changes_stay_in_main_memory(made: Path) -> None:
    beside = made.parent / "checkpoint.memory-1.safetensors"
    before, memory = beside.read_bytes(), load(made)
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert beside.name in maps.read_text()
        assert mapping_of(memory.keys.data_ptr()).endswith(beside.name)
    memory.write(torch.randn(9, 12), torch.arange(9))
    memory.forget(torch.arange(5))
    assert beside.read_bytes() == before
    assert len(load(made)) == 40


def mapping_of(address: int) -> str:
    for line in Path("/proc/self/maps").read_text().splitlines():
        begin, end = (int(number, 16) for number in line.split()[0].split("-"))
        if begin <= address < end:
            return line
    return ""


@pytest.mark.parametrize("name", ["exact", "ivf", "faiss:IVF2,SQ8"])
def test_answers_are_those_of_a_memory_in_the_checkpoint(made: Path, name: str) -> None:
    mapped, weights = load(made, memory_search=name), read_checkpoint(made)["model"]
    plain = KeyValueMemory(64, 12, mapped.num_values, mapped.neighbors, search=name)
    plain.load_state_dict({name: weights[MEMORY + name] for name, _ in plain.named_buffers()})
    assert plain.keys.data_ptr() != mapped.keys.data_ptr()
    for memory in (mapped, plain):
        if name != "exact":
            memory._search.others.least = 10  # type: ignore[attr-defined]
        memory.write(torch.eye(12), torch.arange(12))
    one, other = (memory.query(torch.eye(12)[:3] + 0.1) for memory in (mapped, plain))
    assert torch.equal(one.slots, other.slots)
    assert torch.equal(one.similarities, other.similarities)


def test_a_new_memory_replaces_the_old_one(made: Path) -> None:
    state = filled(made, 2)
    write_checkpoint(state, made)
    assert files_of(made) == ["checkpoint.memory-2.safetensors", "checkpoint.pt"]
    assert_holds(made, state)


def killed_at(operation: int, state: dict[str, Any], path: Path) -> bool:
    """Write a checkpoint in a process that is killed at one of its operations on files.

    Args:
        operation: its number, from 0.
        state: to write.
        path: of the checkpoint.

    Returns:
        Whether it had so many.
    """
    child = os.fork()
    if child == 0:
        numbers = itertools.count()

        def watch(event: str, arguments: tuple) -> None:
            ours = event in OPERATIONS and str(path.parent) in str(arguments)
            if ours and next(numbers) == operation:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        write_checkpoint(state, path)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


OPERATIONS = ("open", "os.chmod", "os.remove", "os.rename")


def test_whenever_it_is_killed_the_old_pair_or_the_new_one_is_there(made: Path) -> None:
    old, new = filled(made, 1), filled(made, 2)
    places = []
    for operation in itertools.count():
        write_checkpoint(old, made)  # which removes what a kill has left
        assert len(files_of(made)) == 2
        if not killed_at(operation, new, made):
            break
        renewed = not is_same(read_checkpoint(made), old)
        assert_holds(made, new if renewed else old)
        places.append(renewed)
    assert_holds(made, new)
    assert places == sorted(places) and set(places) == {False, True}


def is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return torch.equal(one["model"][MEMORY + "keys"], other["model"][MEMORY + "keys"])


def test_stored_in_the_checkpoint_again_nothing_is_left_beside_it(made: Path) -> None:
    state = filled(made, 2)
    state["cfg"]["model"]["memory_storage"] = "ram"
    write_checkpoint(state, made)
    assert files_of(made) == ["checkpoint.pt"]
    assert_holds(made, state)


def test_both_can_be_moved_together(made: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    expected, other = read_checkpoint(made), tmp_path_factory.mktemp("elsewhere")
    for name in files_of(made):
        shutil.move(made.parent / name, other / name)
    assert_holds(other / made.name, expected)


def test_a_translator_folder_has_both(made: Path) -> None:
    parts, folder = made.parent / "parts", made.parent / "translator"
    pack(made, parts / "data", parts / "spm.model", folder)
    assert (folder / "checkpoint.memory-1.safetensors").exists()
    with Translator.open(folder) as translator:
        assert translator.teach("the cat", "die Katze").came_through
        assert len(translator._network.memory) > 40


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a few keys be enough for an index."""
    monkeypatch.setattr(search, "CROSSING", 10)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("storage", ["mmap", "ram"])
def test_the_index_of_a_translator_folder_is_read(
    made: Path, storage: str, caplog: pytest.LogCaptureFixture
) -> None:
    state = read_checkpoint(made)
    state["cfg"]["model"]["memory_storage"] = storage
    write_checkpoint(state, made)
    parts, folder = made.parent / "parts", made.parent / "translator"
    pack(made, parts / "data", parts / "spm.model", folder)
    assert index_beside(folder / "checkpoint.pt").exists()
    caplog.clear()
    with caplog.at_level("INFO"), Translator.open(folder) as translator:
        translator.translate("the cat", exact=False)
    assert "for 40 keys, read in" in caplog.text


@pytest.mark.usefixtures("few")
def test_the_index_beside_a_checkpoint_is_packed(
    made: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load(made).write_index(index_beside(made))
    parts, folder = made.parent / "parts", made.parent / "translator"
    with caplog.at_level("INFO"):
        pack(made, parts / "data", parts / "spm.model", folder)
    assert "read in" in caplog.text and "made in" not in caplog.text
    packed, there = load_file(index_beside(folder / "checkpoint.pt")), load_file(index_beside(made))
    assert all(torch.equal(packed[name], there[name]) for name in ("centroids", "lists"))


def test_a_checkpoint_that_is_older_than_an_option_can_be_packed(made: Path) -> None:
    state = read_checkpoint(made)
    for option in ("storage", "recall", "sure"):
        del state["cfg"]["model"][f"memory_{option}"]
    write_checkpoint(state, made)
    parts = made.parent / "parts"
    pack(made, parts / "data", parts / "spm.model", made.parent / "translator")
    assert MemoryOfCheckpoint(made).summary()["filled"] == 40


@pytest.mark.usefixtures("few")
def test_another_memory_takes_the_index_along(made: Path) -> None:
    load(made).write_index(index_beside(made))
    assert index_beside(made).exists()
    write_checkpoint(filled(made, 2), made)
    assert not index_beside(made).exists()


def remove(file: Path) -> None:
    file.unlink()


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)


def replace_by_another(file: Path) -> None:
    checkpoint = file.parent / "other.pt"
    write_checkpoint(filled(file.parent / "parts" / "checkpoint.pt", 3), checkpoint)
    os.replace(file.parent / "other.memory-1.safetensors", file)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (remove, "its memory is missing; put checkpoint.memory-1.safetensors beside it"),
        (cut, "its memory is unusable: .*memory-1.safetensors is damaged or cut short"),
        (damage, "its memory is unusable: .*memory-1.safetensors is damaged or cut short"),
        (replace_by_another, "is another memory; move both files together"),
    ],
)
def test_what_does_not_belong_together_is_refused_in_one_line(
    made: Path, harm: Any, message: str
) -> None:
    harm(made.parent / "checkpoint.memory-1.safetensors")
    for read in (read_checkpoint, lambda path: checkpoint_utils.load_checkpoint_to_cpu(str(path))):
        with pytest.raises(InputError, match=f"checkpoint.pt: .*{message}") as error:
            read(made)
        assert "\n" not in str(error.value)
