"""Which tokens are written to the memory."""

import pytest
import torch

from fairseq_plugins.modules.write_policy import WritePolicy

COUNTS = torch.tensor([0, 5, 99, 100, 7000])
TARGET = torch.tensor([4, 3, 2, 1, 0, 2])
LOG_PROB = torch.tensor([0.9, 0.2, 0.4, 0.6, 0.1, 0.8]).log()


def chosen(kind: str, surprise: float = 0.5, rare: int = 100) -> list[bool]:
    return WritePolicy(kind, surprise, rare, COUNTS)(TARGET, LOG_PROB).tolist()


def test_all_remembers_everything() -> None:
    assert chosen("all") == [True] * 6


def test_surprise_remembers_what_was_less_probable() -> None:
    assert chosen("surprise") == [False, True, True, False, True, False]
    assert chosen("surprise", surprise=0.15) == [False, False, False, False, True, False]


def test_certain_surprise_remembers_all_that_is_not_certain() -> None:
    policy = WritePolicy("surprise", 1.0, 1, COUNTS)
    assert policy(torch.tensor([1, 1]), torch.tensor([0.0, -1e-6])).tolist() == [False, True]


def test_rare_remembers_what_training_showed_less_often() -> None:
    assert chosen("rare") == [False, False, True, True, True, True]
    assert chosen("rare", rare=6) == [False, False, False, True, True, False]


def test_unknown_policy_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'none' is not one of all, surprise, rare"):
        WritePolicy("none", 0.5, 1, COUNTS)


@pytest.mark.parametrize("surprise", [0.0, -0.5, 1.5])
def test_surprise_must_be_a_probability(surprise: float) -> None:
    with pytest.raises(ValueError, match="must be a probability"):
        WritePolicy("surprise", surprise, 1, COUNTS)
