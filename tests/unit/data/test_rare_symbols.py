"""Rare symbols, compared with the rule applied symbol by symbol."""

from collections import Counter

import numpy as np
import pytest

from fairseq_plugins.data.rare_symbols import RareSymbols

TASK = RareSymbols(symbols=300, examples=400, length=6, seed=3)


def oracle(source: list[str]) -> list[str]:
    """Return the target according to the rule."""
    odd, target = False, []
    for bit, symbol in zip(source[::2], source[1::2], strict=True):
        odd ^= bit == "1"
        target.append(f"s{TASK.function[int(symbol[1:])]}" if odd else symbol)
    return target


def test_targets_follow_the_rule() -> None:
    for index in range(50):
        for source, target in (TASK.training(index), TASK.test(0, index, 9)):
            assert target == oracle(source)
    assert len(TASK.test(0, 0, 9)[0]) == 18


def test_the_function_is_one_to_one() -> None:
    assert sorted(TASK.function.tolist()) == list(range(300))


def test_the_training_text_begins_anew() -> None:
    assert TASK.training(400) == TASK.training(0) != TASK.training(1)


def test_seen_counts_how_often_the_function_was_asked_for() -> None:
    counts: Counter[int] = Counter()
    for index in range(TASK.examples):
        source, _ = TASK.training(index)
        odd = False
        for bit, symbol in zip(source[::2], source[1::2], strict=True):
            odd ^= bit == "1"
            counts[int(symbol[1:])] += odd
    assert [counts[number] for number in range(300)] == TASK.seen.tolist()


def test_buckets_hold_every_symbol_once() -> None:
    assert sorted(np.concatenate(list(TASK.buckets.values()))) == list(range(300))
    assert all(TASK.seen[number] == 1 for number in TASK.buckets["1"])
    assert all(2 <= TASK.seen[number] <= 5 for number in TASK.buckets["2-5"])


def test_most_symbols_of_the_whole_task_are_rare() -> None:
    seen = RareSymbols().seen
    assert (seen <= 5).mean() > 0.5 and (seen == 0).any() and (seen > 20).any()


def test_test_texts_draw_from_all_buckets_alike() -> None:
    symbols = [int(name[1:]) for index in range(300) for name in TASK.test(0, index, 6)[0][1::2]]
    filled = {name: numbers for name, numbers in TASK.buckets.items() if len(numbers)}
    for numbers in filled.values():
        share = np.isin(symbols, numbers).mean()
        assert share == pytest.approx(1 / len(filled), abs=0.05)


def test_texts_differ() -> None:
    assert TASK.test(0, 0, 6) == TASK.test(0, 0, 6) != TASK.test(1, 0, 6)


def test_the_beginning_of_an_example_is_an_example() -> None:
    source, target = TASK.training(7)
    assert TASK.training(7, 2) == (source[:4], target[:2])


def test_a_bucket_may_be_asked_for() -> None:
    symbols = {
        int(name[1:]) for index in range(50) for name in TASK.test(0, index, 6, "1")[0][1::2]
    }
    assert symbols <= set(TASK.buckets["1"].tolist())
