"""Subsets, validation, impossible tasks, and checkpoints of other tasks."""

from unittest.mock import Mock

import pytest
import torch

from fairseq_plugins.errors import InputError
from fairseq_plugins.tasks.algorithmic import AlgorithmicConfig, AlgorithmicTask


def task(algorithm: str = "rare_symbols", **options: int) -> AlgorithmicTask:
    given = {"batch_size": 2, "seed": 1, "symbols": 20, "examples": 10, "max_length": 3} | options
    return AlgorithmicTask(AlgorithmicConfig(algorithm=algorithm, **given))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"min_length": 0}, "--min-length 0: must be at least 1"),
        ({"min_length": 4}, "--min-length 4 --max-length 3"),
        ({"symbols": 0}, "--symbols 0: must be at least 1"),
        ({"examples": -1}, "--examples -1: must be at least 1"),
        ({"curriculum_batches": -2}, "--curriculum-batches -2: must be at least 0"),
    ],
)
def test_impossible_sizes_are_refused(wrong: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        task(**wrong)


@pytest.mark.parametrize("algorithm", ["copy", "binary_addition", "rare_symbols"])
def test_examples_without_length_are_refused(algorithm: str) -> None:
    with pytest.raises(InputError, match="test_0: examples must have a length of at least 1"):
        task(algorithm).load_dataset("test_0")


@pytest.mark.parametrize(
    "other", [{"seed": 2}, {"symbols": 21}, {"examples": 11}, {"max_length": 4}]
)
def test_another_function_or_text_than_that_of_the_checkpoint_is_refused(other: dict) -> None:
    known = task().state_dict()
    with pytest.raises(InputError, match=r"rare_symbols --seed 1 --symbols 20 .* use the options"):
        task(**other).load_state_dict(known)
    task(min_length=2, curriculum_batches=5).load_state_dict(known)  # the same symbols


def test_another_vocabulary_of_the_same_size_is_refused() -> None:
    known = task("binary_addition").state_dict()
    with pytest.raises(InputError, match=r"with 0 1 \+, but this task has 0 1 \*"):
        task("binary_multiplication").load_state_dict(known)
    task("binary_addition", seed=2, max_length=9).load_state_dict(known)


@pytest.mark.parametrize("algorithm", ["copy", "rare_symbols"])
def test_no_subset_repeats_another(algorithm: str) -> None:
    subject = task(algorithm, min_length=8, max_length=8, examples=100, symbols=500)
    examples = []
    for subset in ("train", "valid", "test"):
        subject.load_dataset(subset)
        drawn = [subject.dataset(subset)[index] for index in range(8)]
        examples += [tuple(example["source"].tolist()) for example in drawn]
    assert len(set(examples)) == len(examples)


@pytest.mark.parametrize(
    ("algorithm", "lengths"), [("copy", [1, 1, 1, 2]), ("rare_symbols", [3, 1, 3, 2])]
)
def test_rare_symbols_are_not_only_shown_in_short_examples(
    algorithm: str, lengths: list[int]
) -> None:
    subject = task(algorithm, curriculum_batches=6)
    subject.load_dataset("train")
    assert [subject.dataset("train").length(batch) for batch in range(4)] == lengths


def test_padding_is_never_wrong() -> None:
    subject = task("copy")
    pad, eos = subject.source_dictionary.pad(), subject.source_dictionary.eos()
    answers = torch.tensor([[4, 5, eos], [4, eos, 5]])
    model = Mock()
    model.modules.return_value = []
    model.get_normalized_probs.return_value = torch.nn.functional.one_hot(answers)
    sample = {"net_input": {}, "target": torch.tensor([[4, 4, eos], [4, eos, pad]])}
    _, _, log = subject.valid_step(sample, model, lambda *_: (torch.zeros(()), 2, {}))
    assert log == {"sequences": 2, "sequences_right": 1, "symbols": 5, "symbols_right": 4}
