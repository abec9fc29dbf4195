"""Filling a memory with a corpus."""

from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq import checkpoint_utils

from fairseq_plugins.checkpoints.files import read_checkpoint
from fairseq_plugins.checkpoints.memories import MemoryOfCheckpoint
from fairseq_plugins.errors import InputError
from fairseq_plugins.memory import KeyValueMemory, search
from fairseq_plugins.memory.search.stored_index import read_index
from fairseq_plugins.memory.state import memory_buffers
from fairseq_plugins.modules.write_policy import WritePolicy
from fairseq_plugins.patches.memory_files import index_beside
from fairseq_plugins.teaching import filled as filling_of_checkpoints
from fairseq_plugins.teaching.fill import fill
from fairseq_plugins.teaching.filled import Filling, fill_checkpoint
from fairseq_plugins.teaching.loaded_checkpoint import Corpus, LoadedCheckpoint


def load(trained: Any, **options: Any) -> LoadedCheckpoint:
    return LoadedCheckpoint(trained.last, Corpus(trained.data, max_tokens=100), **options)


ALL = WritePolicy("all", 0.5, 100, torch.zeros(0))


def tokens(trained: Any, split: str) -> int:
    return sum(len(line.split()) + 1 for line in (trained.text / f"{split}.yy").open())


def test_all_target_tokens_are_written(trained: Any) -> None:
    filled = load(trained, memory_size=2000)
    filled.memory.clear()
    report = fill(filled, "test", ALL)
    assert report.seen == report.written == tokens(trained, "test")
    assert report.filled == len(filled.memory) == report.written - report.merged
    assert (report.size, report.evicted) == (2000, 0)


def test_memory_holds_the_words_of_the_corpus_only(trained: Any) -> None:
    filled = load(trained, memory_size=2000)
    filled.memory.clear()
    fill(filled, "test", ALL)
    dictionary = filled.task.target_dictionary
    words = {dictionary[value] for value in filled.memory.values.unique() if value >= 0}
    assert words == {*(trained.text / "test.yy").read_text().split(), dictionary.eos_word}


def test_full_memory_forgets_as_many_as_it_cannot_hold(trained: Any) -> None:
    filled = load(trained, memory_size=16)
    filled.memory.clear()
    report = fill(filled, "test", ALL)
    assert report.filled == 16
    assert report.evicted > 0


def test_several_epochs_see_everything_again(trained: Any) -> None:
    filled = load(trained, memory_size=2000)
    filled.memory.clear()
    report = fill(filled, "test", ALL, epochs=2)
    assert report.seen == 2 * tokens(trained, "test")
    assert report.merged > fill(load(trained, memory_size=2000), "test", ALL).merged


@pytest.fixture(scope="module")
def shards(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the training text in two folders: all of it, and what validation reads."""
    folder = tmp_path_factory.mktemp("shards")
    for shard, split in (("first", "train"), ("second", "valid")):
        (folder / shard).mkdir()
        for file in trained.data.glob("dict.*"):
            (folder / shard / file.name).symlink_to(file)
        for file in trained.data.glob(f"{split}.*"):
            (folder / shard / file.name.replace(split, "train")).symlink_to(file)
    return Path(f"{folder / 'first'}:{folder / 'second'}")


def test_all_shards_are_remembered(trained: Any, shards: Path) -> None:
    filled = LoadedCheckpoint(trained.last, Corpus(shards, max_tokens=100), memory_size=2000)
    report = fill(filled, "train", ALL, epochs=2)
    assert report.seen == 2 * (tokens(trained, "train") + tokens(trained, "valid"))


def test_another_epoch_reads_in_another_order(trained: Any, shards: Path) -> None:
    filled = LoadedCheckpoint(trained.last, Corpus(shards, max_tokens=100))
    one, again, two = (
        [batch["id"].tolist() for batch in filled.batches("train", epoch)] for epoch in (1, 1, 2)
    )
    assert one == again and one != two and sorted(chain(*one)) == sorted(chain(*two))


def test_batches_smaller_than_a_sentence_are_refused(trained: Any) -> None:
    filled = LoadedCheckpoint(trained.last, Corpus(trained.data, max_tokens=1))
    with pytest.raises(InputError, match="--max-tokens: too few for the longest sentence"):
        fill(filled, "train", ALL)


def test_rare_words_only(trained: Any) -> None:
    filled = load(trained, memory_size=2000)
    filled.memory.clear()
    counts = torch.zeros(len(filled.task.target_dictionary))
    counts[::2] = 100
    fill(filled, "test", WritePolicy("rare", 0.5, 100, counts))
    values = filled.memory.values[filled.memory.values >= 0]
    assert len(values) > 0 and bool((values % 2 == 1).all())


def test_surprises_only_are_written(trained: Any) -> None:
    filled = load(trained)
    none = fill(filled, "test", WritePolicy("surprise", 1e-9, 100, torch.zeros(0)))
    every = fill(filled, "test", WritePolicy("surprise", 1.0, 100, torch.zeros(0)))
    assert (none.written, every.written) == (0, every.seen)


def test_only_what_is_written_is_searched_for(
    trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled = load(trained, memory_size=2000)
    searched = []
    search = filled.memory._search.search

    def counted(query: torch.Tensor, k: int) -> Any:
        searched.append(len(query))
        return search(query, k)

    monkeypatch.setattr(filled.memory._search, "search", counted)
    report = fill(filled, "test", WritePolicy("surprise", 0.1, 100, torch.zeros(0)))
    assert 0 < report.written == sum(searched) < report.seen


def test_what_was_taught_is_merged_when_it_is_taught_again(trained: Any) -> None:
    filled = load(trained, memory_size=2000)
    filled.memory.clear()
    policy = WritePolicy("surprise", 0.1, 100, torch.zeros(0))
    first, second = fill(filled, "test", policy), fill(filled, "test", policy)
    assert second.written == first.written > second.filled - first.filled
    assert second.merged > first.merged


def test_weights_do_not_change_and_dropout_is_off(trained: Any) -> None:
    filled = load(trained)
    assert not filled.model.training
    fill(filled, "test", ALL)
    before = read_checkpoint(trained.last)["model"]
    for name, parameter in filled.model.named_parameters():
        assert torch.equal(parameter, before[name]), name


def test_same_seed_same_memory(trained: Any) -> None:
    memories = []
    for _ in range(2):
        filled = load(trained, memory_size=100)
        fill(filled, "train", ALL)
        memories.append(filled.memory)
    assert torch.equal(memories[0].keys, memories[1].keys)
    assert torch.equal(memories[0].values, memories[1].values)


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_every_number_format_fills(trained: Any, choice: str) -> None:
    report = fill(load(trained, autocast=choice), "test", ALL)
    assert report.written == tokens(trained, "test")


def test_saved_checkpoint_loads_with_its_new_size(trained: Any, tmp_path: Path) -> None:
    filled = load(trained, memory_size=500)
    fill(filled, "test", ALL)
    filled.save(tmp_path / "filled.pt")
    models, cfg, _ = checkpoint_utils.load_model_ensemble_and_task([str(tmp_path / "filled.pt")])
    memory = next(m for m in models[0].modules() if isinstance(m, KeyValueMemory))
    assert cfg.model.memory_size == memory.size == 500
    assert torch.equal(memory.keys, filled.memory.keys)
    assert torch.equal(memory.values, filled.memory.values)


def test_saved_checkpoint_differs_in_the_memory_only(trained: Any, tmp_path: Path) -> None:
    filled = load(trained)
    fill(filled, "test", ALL)
    filled.save(tmp_path / "filled.pt")
    before, after = read_checkpoint(trained.last), read_checkpoint(tmp_path / "filled.pt")
    assert after["cfg"] == before["cfg"] and after.keys() == before.keys()
    changed = {n for n, t in before["model"].items() if not torch.equal(t, after["model"][n])}
    assert changed and changed <= set(memory_buffers(before["model"])[0].values())
    names = memory_buffers(before["model"])[0].values()
    assert all(torch.equal(after["extra_state"]["ema"][n], after["model"][n]) for n in names)


def test_missing_split_is_named(trained: Any) -> None:
    with pytest.raises(InputError, match="has no split 'nosuch'"):
        fill(load(trained), "nosuch", ALL)


def test_options_of_the_memory_are_those_of_the_result(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"memory_storage": "mmap", "memory_search": "lsh", "memory_recall": 0.9,
               "memory_sure": 0.8}  # fmt: skip
    output = tmp_path / "filled.pt"
    fill_checkpoint(trained.last, output, Filling(trained.data, "test", **options))
    cfg = read_checkpoint(output)["cfg"]["model"]
    assert {name: cfg[name] for name in options} == options
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "filled.memory-1.safetensors", "filled.pt"
    ]  # fmt: skip
    monkeypatch.setattr(search, "FEW", 10)
    options = {"memory_storage": "ram", "memory_search": "ivf"}
    fill_checkpoint(output, output, Filling(trained.data, "valid", **options))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "filled.index.safetensors", "filled.pt"
    ]  # fmt: skip
    with pytest.raises(InputError, match="--memory-sure 7: must be above 0 and at most 1"):
        fill_checkpoint(output, output, Filling(trained.data, "test", memory_sure=7))


def test_slots_that_others_replace_are_dropped_and_the_rest_stays_as_it_is(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "FEW", 10)
    paths = tmp_path / "all.pt", tmp_path / "fewer.pt"
    how = Filling(trained.data, memory_size=2000, memory_search="ivf", clear=True)
    fill_checkpoint(trained.last, paths[0], how)
    less = replace(how, clear=False, epochs=0, drop_alike=1)
    thinning = fill_checkpoint(paths[0], paths[1], less).thinning
    before, after = (MemoryOfCheckpoint(path).memory() for path in paths)
    kept = after.values >= 0
    assert thinning is not None and thinning.dropped > 0
    assert thinning.kept == int(kept.sum()) == len(before) - thinning.dropped
    for name in ("keys", "values", "origins", "merges", "touched", "pinned"):
        assert torch.equal(after.get_buffer(name)[kept], before.get_buffer(name)[kept]), name
    read_index(index_beside(paths[1]), after.keys, kept.nonzero()[:, 0])


def test_slots_are_dropped_by_one_process(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling_of_checkpoints, "number_of_ranks", lambda: 2)
    with pytest.raises(InputError, match="--drop-alike: slots are dropped by one process"):
        fill_checkpoint(trained.last, trained.last, Filling(trained.data, drop_alike=2))
