"""Lessons taught to a checkpoint are kept completely, with new words, and are loaded again."""

from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq import checkpoint_utils

from fairseq_plugins.errors import InputError
from fairseq_plugins.teaching import terms
from fairseq_plugins.teaching.filled import Filling, fill_checkpoint
from fairseq_plugins.teaching.loaded_checkpoint import Corpus, LoadedCheckpoint
from fairseq_plugins.teaching.teach import count_words, teach, term_reader
from tests.tiny_training import LINES


@pytest.fixture
def loaded(trained: Any) -> LoadedCheckpoint:
    return LoadedCheckpoint(trained.last, Corpus(trained.data))


def targets(loaded: LoadedCheckpoint) -> dict[int, list[int]]:
    """Target tokens of each line of the test text."""
    dataset = loaded.task.dataset("test")
    return {line: dataset[line]["target"].tolist() for line in range(len(dataset))}


def test_every_token_is_pinned_in_order_and_knows_its_line(loaded: LoadedCheckpoint) -> None:
    report = teach(loaded, "test", 1000)
    memory = loaded.memory
    assert report.lessons == LINES["test"]
    assert report.tokens == int(memory.pinned.sum()) == sum(map(len, targets(loaded).values()))
    for line, tokens in targets(loaded).items():
        own = memory.pinned & (memory.origins == 1000 + line)
        assert sorted(memory.values[own].tolist()) == sorted(tokens)


def test_forgetting_the_lessons_leaves_no_trace(loaded: LoadedCheckpoint) -> None:
    before = {name: buffer.clone() for name, buffer in loaded.memory.named_buffers()}
    loaded.memory.grow(1000)
    grown = {name: buffer.clone() for name, buffer in loaded.memory.named_buffers()}
    reader = term_reader(loaded)
    teach(loaded, "test")
    loaded.memory.forget(torch.nonzero(loaded.memory.pinned).squeeze(1))
    for line in range(LINES["test"]):
        reader.memory.forget(line)
    after = dict(loaded.memory.named_buffers())
    assert all(torch.equal(grown[name], after[name]) for name in grown)
    assert len(before["values"]) < 1000 and len(reader.memory) == 0


def test_words_of_training_are_counted_and_are_not_new(loaded: LoadedCheckpoint) -> None:
    reader = term_reader(loaded)
    count_words(loaded, reader)
    text = loaded.task.dataset("train")
    words = sum(len(text[i]["target"]) - 1 for i in range(len(text)))  # without the ends
    assert reader.target_counts.total() == words
    assert teach(loaded, "test").terms == 0


def test_new_words_get_the_source_words_that_are_spelled_alike(
    loaded: LoadedCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terms, "NEW", 10**9)  # as if training had none of them
    monkeypatch.setattr(terms, "LIKENESS", 1000.0)
    monkeypatch.setattr(terms, "FLOOR", 1000.0)  # it was hardly trained, its attention is vague
    report = teach(loaded, "test")
    reader, dictionary = term_reader(loaded), loaded.task.target_dictionary
    assert report.terms == report.tokens - report.lessons  # all but the ends of the sentences
    taught = reader.memory.pieces[:, 0]
    for cue, piece in zip(reader.memory.cues.tolist(), taught.tolist(), strict=True):
        if piece < 0:
            continue
        source = dictionary.symbols[piece].lower()  # w7 is translated as W7
        number, _ = reader.source.numbers(torch.tensor([[dictionary.index(source)]]))
        assert cue == int(number)


def test_a_taught_checkpoint_is_loaded_with_its_lessons(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terms, "NEW", 10**9)
    output = tmp_path / "taught.pt"
    filling = Filling(trained.data, split="test", teach=True)
    done = fill_checkpoint(trained.last, output, filling)
    assert f"{LINES['test']} lessons taught" in str(done)
    models, _, _ = checkpoint_utils.load_model_ensemble_and_task([str(output)])
    decoder = models[0].decoder
    assert len(decoder.terms.memory) > 0 and bool(decoder.reader.memory.pinned.any())
    cleared = tmp_path / "cleared.pt"
    fill_checkpoint(output, cleared, Filling(trained.data, split="valid", clear=True))
    models, _, _ = checkpoint_utils.load_model_ensemble_and_task([str(cleared)])
    assert len(models[0].decoder.terms.memory) == 0
    assert not bool(models[0].decoder.reader.memory.pinned.any())


def test_a_model_that_cannot_be_taught_says_so(loaded: LoadedCheckpoint) -> None:
    del loaded.model.decoder.terms
    with pytest.raises(InputError, match="without --teach"):
        teach(loaded, "test")
