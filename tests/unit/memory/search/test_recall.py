"""Recall counts values, not slots; effort rises until the goal is reached, and no further."""

import pytest
import torch
import torch.nn.functional as F

from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory.search import ApproximateSearch
from fairseq_plugins.memory.search.recall import SAMPLE, Recall, Tuning, recall

VALUES = torch.tensor([7, 7, 7, 8, 9])
T = 2.0


def answer(*slots: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return an answer to one query: similarities 0.9, 0.8, ... of slots."""
    similarities = torch.tensor([[0.9 - 0.1 * rank for rank in range(len(slots))]])
    missing = torch.tensor([slots]) < 0
    return similarities.masked_fill(missing, -torch.inf), torch.tensor([slots])


def test_the_same_answers_have_recall_1() -> None:
    assert recall(answer(0, 3), answer(0, 3), VALUES, T) == Recall(1.0, 1.0, 1.0)


def test_another_slot_of_the_same_value_is_as_good() -> None:
    assert recall(answer(0, 3), answer(1, 3), VALUES, T) == Recall(1.0, 0.0, 0.5)


def test_mass_at_other_values_is_lost() -> None:
    found = recall(answer(0, 3), answer(0, 4), VALUES, T)
    lost = torch.softmax(T * torch.tensor([0.9, 0.8]), 0)[1]
    assert found.values == pytest.approx(1 - float(lost))
    assert (found.best, found.slots) == (1.0, 0.5)


def test_the_worst_of_both_parts_counts() -> None:
    """The masses hardly differ, but the best value does."""
    first = torch.tensor([[0.9, 0.9 - 1e-6]]), torch.tensor([[0, 3]])
    second = torch.tensor([[0.9, 0.9 - 1e-6]]), torch.tensor([[3, 0]])
    assert recall(first, second, VALUES, T).values == 0.0


def test_missing_neighbours_have_no_mass() -> None:
    assert recall(answer(0, -1), answer(0, -1), VALUES, T) == Recall(1.0, 1.0, 1.0)
    nothing = recall(answer(0, 3), answer(-1, -1), VALUES, T)
    assert nothing == Recall(0.0, 0.0, 0.0)
    assert recall(answer(-1), answer(-1), VALUES, T).values == 1.0


def measured(recalls: dict[int, float]) -> tuple[list[int], list[int], object]:
    """Return efforts, those that were tried, and a measurement."""
    tried: list[int] = []

    def measure(effort: int) -> Recall:
        tried.append(effort)
        return Recall(recalls[effort], 0.0, 0.0)

    return list(recalls), tried, measure


def test_the_least_effort_that_reaches_the_goal_is_chosen() -> None:
    efforts, tried, measure = measured({1: 0.5, 2: 0.9, 4: 0.99, 8: 1.0})
    tuning = Tuning(0.98)
    assert tuning.choose(efforts, measure, 100).values == 0.99  # type: ignore[arg-type]
    assert tuning.effort == 4 and tried == [1, 2, 4]


def test_chance_changes_nothing_but_a_real_loss_does() -> None:
    efforts, _, measure = measured({1: 0.5, 2: 0.97, 4: 0.975, 8: 1.0})
    tuning = Tuning(0.98, effort=2)
    tuning.choose(efforts, measure, 100)  # type: ignore[arg-type]
    assert tuning.effort == 2
    tuning.choose(efforts, measure, 100_000)  # type: ignore[arg-type]
    assert tuning.effort == 8


def test_a_goal_that_cannot_be_reached_ends_with_the_greatest_effort() -> None:
    efforts, _, measure = measured({1: 0.5, 2: 0.6})
    tuning = Tuning(1.0)
    tuning.choose(efforts, measure, 10)  # type: ignore[arg-type]
    assert tuning.effort == 2


def test_samples_come_from_many_searches_and_later_seldom() -> None:
    tuning, query = Tuning(0.9), torch.arange(1000.0).unsqueeze(1)
    samples = [tuning.sample(query) for _ in range(16)]
    assert [sample is None for sample in samples] == [True] * 15 + [False]
    assert samples[-1] is not None and len(samples[-1]) == SAMPLE
    assert len(samples[-1].unique()) == 16  # spread over the batch
    asked = 0
    while tuning.sample(query) is None:
        asked += len(query)
    assert asked == pytest.approx(10_000 * SAMPLE, rel=0.01)


def test_real_queries_may_lower_the_first_effort_but_no_later_one() -> None:
    tuning, query = Tuning(0.9, effort=64), torch.arange(1000.0).unsqueeze(1)
    while tuning.sample(query) is None:
        assert tuning.effort == 64
    efforts, _, measure = measured({1: 0.5, 32: 0.95, 64: 0.99})
    tuning.choose(efforts, measure, SAMPLE)  # type: ignore[arg-type]
    assert tuning.effort == 32
    while tuning.sample(query) is None:
        pass
    assert tuning.effort == 32


def clusters(count: int, size: int, dim: int) -> torch.Tensor:
    """Return keys of words: a direction for each, and what the context adds."""
    generator = torch.Generator().manual_seed(3)
    words = torch.randn(count, dim, generator=generator)[torch.arange(size) % count]
    return F.normalize(words + 0.9 * torch.randn(size, dim, generator=generator), dim=1)


@pytest.mark.parametrize("backend", ["ivf", "lsh"])
@pytest.mark.parametrize("goal", [0.7, 0.99])
def test_a_memory_keeps_its_recall_and_says_so(
    backend: str, goal: float, caplog: pytest.LogCaptureFixture
) -> None:
    keys, values = clusters(50, 4000, 16), torch.arange(4000) % 50
    memory = KeyValueMemory(4000, 16, 50, neighbors=8, search=backend, recall=goal)
    exact = KeyValueMemory(4000, 16, 50, neighbors=8)
    for one in (memory, exact):
        one.teach(keys, values, origin=1)
        one.pinned.fill_(False)
    query = clusters(50, 4400, 16)[4000:]
    with caplog.at_level("INFO"):
        found = [memory.query(some) for some in query.split(20)]
    expected = exact.query(query)
    similarities, slots = (
        torch.cat([getattr(hits, name) for hits in found]) for name in ("similarities", "slots")
    )
    reached = recall(
        (expected.similarities, expected.slots), (similarities, slots), values, exact.temperature
    )
    assert reached.values >= goal - 0.03
    search = memory._search.others
    assert isinstance(search, ApproximateSearch)
    assert "for 8 neighbours: recall " in caplog.text and "by value" in caplog.text
    if goal == 0.7:
        assert search._tunings[8].effort < search.index.efforts[-1]  # type: ignore[operator]


def test_impossible_recalls_are_refused() -> None:
    for goal in (0.0, -1.0, 1.1, float("nan")):
        with pytest.raises(ValueError, match="recall must be above 0 and at most 1"):
            KeyValueMemory(10, 2, 3, recall=goal)
