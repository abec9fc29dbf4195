"""Translators and the corpus for the benchmarks of training and decoding."""

from pathlib import Path

import pytest
import torch

from fairseq_plugins.benchmarks.translation import (
    LONGEST,
    SHORTEST,
    Decoding,
    Training,
    arguments,
    make_corpus,
)

WORDS = 50  # the dictionary's, specials included
MEMORY = ("--memory-size", 40, "--memory-key-dim", 8, "--memory-neighbors", 4)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    make_corpus(folder, 64, WORDS)
    return folder


def training(corpus: Path, arch: str, loss: str = "ours", *more: object) -> Training:
    given = arguments(arch, 16, 1, "none", loss, *more)
    return Training(corpus, given, "cpu", max_tokens=200, updates=2, warm_up=1)


def decoding(corpus: Path, arch: str, *more: object, empty: bool = False) -> Decoding:
    given = arguments(arch, 16, 1, "none", "ours", *more)
    return Decoding(corpus, given, "cpu", sentences=8, beam=2, length=6, empty=empty)


def test_the_corpus_is_of_sentences_of_different_lengths(corpus: Path) -> None:
    dataset = training(corpus, "gnmt").dataset
    words = dataset.src_sizes - 1  # without the end of the sentence
    assert len(dataset) == 64
    assert words.min() >= SHORTEST
    assert words.max() <= LONGEST
    assert words.std() > 3
    assert (dataset.src_sizes == dataset.tgt_sizes).all()


def test_the_corpus_has_a_vocabulary_of_the_right_size(corpus: Path) -> None:
    task = training(corpus, "gnmt").task
    assert len(task.source_dictionary) == len(task.target_dictionary) == WORDS


def test_rivals_train_on_the_same_words(corpus: Path) -> None:
    ours, rival = training(corpus, "gnmt"), training(corpus, "lstm", "fairseq's")
    assert [ours(number).work for number in (0, 1)] == [rival(number).work for number in (0, 1)]


def test_a_turn_of_training_updates_the_weights_and_the_memory(corpus: Path) -> None:
    contender = training(corpus, "gnmt_memory", "ours", *MEMORY)
    memory = contender.memory
    assert memory is not None
    weight = contender.model.decoder.output.weight
    before, commits = weight.detach().clone(), int(memory.commits)
    contender(0)
    assert contender.trainer.get_num_updates() == 3  # with one to warm up
    assert int(memory.commits) == commits + 2
    assert not torch.equal(weight, before)


def test_rivals_minimise_the_same_loss(corpus: Path) -> None:
    ours, theirs = training(corpus, "gnmt"), training(corpus, "gnmt", "fairseq's")
    theirs.model.load_state_dict(ours.model.state_dict())
    sample = ours.sample(0)
    losses = [
        contender.trainer.get_criterion()(contender.model.eval(), sample)[0].item()
        for contender in (ours, theirs)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("arch", ["gnmt", "gnmt_memory"])
def test_all_translations_have_the_same_length(corpus: Path, arch: str) -> None:
    contender = decoding(corpus, arch, *(MEMORY if arch == "gnmt_memory" else ()))
    found = []
    step = contender.task.inference_step
    contender.task.inference_step = lambda *given: found.extend(step(*given))
    assert contender(0).work == 8
    assert {len(best["tokens"]) for hypotheses in found for best in hypotheses} == {6 + 1}


def test_the_memory_is_full_while_decoding_unless_it_has_to_be_empty(corpus: Path) -> None:
    full = decoding(corpus, "gnmt_memory", *MEMORY).memory
    empty = decoding(corpus, "gnmt_memory", *MEMORY, empty=True).memory
    assert full is not None and empty is not None
    assert (len(full), len(empty)) == (40, 0)
