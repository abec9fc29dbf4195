"""Evaluation of models with known abilities."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from fairseq_plugins.errors import InputError
from fairseq_plugins.evaluation.algorithmic import (
    Right,
    Solver,
    asked_for,
    by_rarity,
    lifelong,
)
from fairseq_plugins.tasks.algorithmic import AlgorithmicConfig, AlgorithmicTask

LENGTH, SYMBOLS = 4, 200


class Notebook:
    """A memory that forgets nothing."""

    def __init__(self) -> None:
        self.known: dict[int, int] = {}

    def write(self, query: Tensor, target: Tensor) -> None:
        self.known.update(zip(query.tolist(), target.tolist(), strict=True))


class Learner(Solver):
    """Copies, and otherwise knows f of a symbol if it is written down."""

    def __init__(self, memory: Notebook | None) -> None:
        cfg = AlgorithmicConfig(
            algorithm="rare_symbols", max_length=LENGTH, symbols=SYMBOLS, examples=100, seed=1
        )
        cfg.batch_size = 10
        self.task: Any = AlgorithmicTask(cfg)
        self.memory: Any = memory
        self.device = torch.device("cpu")

    def solve(self, sample: dict) -> tuple[Tensor, Any]:
        source, target = sample["net_input"]["src_tokens"][:, 1:-1:2], sample["target"][:, :-1]
        asked = asked_for(self.task.source_dictionary, sample)
        known = self.memory.known if self.memory else {}
        written = torch.tensor([known.get(symbol, -1) for symbol in source.flatten().tolist()])
        positions = torch.zeros_like(sample["target"], dtype=torch.bool)
        positions[:, :-1] = asked
        reading = SimpleNamespace(query=source[asked], positions=positions)
        return ~asked | (written.view_as(target) == target), (None, {"memory": reading})


def test_for_life_what_was_shown_once_is_right_from_then_on() -> None:
    assert lifelong(Learner(Notebook()), 20, 3, LENGTH) == {1: 0.0, 2: 100.0, 3: 100.0}


def test_for_life_a_memory_must_have_joined_in(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = Learner(Notebook())
    solve = learner.solve
    monkeypatch.setattr(learner, "solve", lambda sample: (solve(sample)[0], (None, {})))
    with pytest.raises(InputError, match="had not joined in yet"):
        lifelong(learner, 20, 3, LENGTH)


def test_for_life_nothing_is_right_without_a_memory() -> None:
    assert lifelong(Learner(None), 20, 3, LENGTH) == {1: 0.0, 2: 0.0, 3: 0.0}


def test_for_life_there_must_be_symbols_never_asked_for() -> None:
    with pytest.raises(InputError, match="but 1000 are needed, in sequences of"):
        lifelong(Learner(None), 1000, 3, LENGTH)


def test_by_rarity_copies_and_answers_are_told_apart() -> None:
    shares = by_rarity(Learner(None), 1, 50, LENGTH, 10)
    assert {"0", "1", "2-5"} <= set(shares)
    for share in shares.values():
        assert share.asked == 0 and share.copied == 100
        assert 30 < share.symbols < 70  # half of them are copied
        assert share.sequences < 15  # all copied: one in sixteen


def test_shares_that_there_are_not_are_left_out() -> None:
    nothing = float("nan")
    assert Right(50.0, 75.0, nothing, nothing).as_dict() == {"sequences": 50.0, "symbols": 75.0}
