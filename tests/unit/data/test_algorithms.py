"""Algorithms, compared with other ways to compute the same."""

import itertools

import numpy as np
import pytest

from fairseq_plugins.data.algorithms import ALGORITHMS


def drawn(name: str, length: int, seed: int = 1) -> tuple[list[str], list[str]]:
    return ALGORITHMS[name].draw(length, np.random.default_rng(seed))


def number(bits: list[str]) -> int:
    """Lowest bit first, by Horner's rule."""
    value = 0
    for bit in reversed(bits):
        value = 2 * value + int(bit)
    return value


def test_copy_and_reverse() -> None:
    source, target = drawn("copy", 9)
    assert len(source) == 9 and target == source
    source, target = drawn("reverse", 9)
    assert [target[8 - place] for place in range(9)] == source


@pytest.mark.parametrize("length", [1, 2, 7, 8, 20, 60, 200])
@pytest.mark.parametrize("seed", range(5))
def test_sums_and_products_are_right(length: int, seed: int) -> None:
    for name, sign, width in (
        ("binary_addition", "+", length + 1), ("binary_multiplication", "*", 2 * length),
    ):  # fmt: skip
        source, target = drawn(name, length, seed)
        place = source.index(sign)
        a, b = number(source[:place]), number(source[place + 1 :])
        assert place == length and len(source) == 2 * length + 1 and len(target) == width
        assert number(target) == (a + b if sign == "+" else a * b)


def test_every_number_of_so_many_bits_is_drawn() -> None:
    seen = {tuple(drawn("binary_addition", 2, seed)[0]) for seed in range(300)}
    assert seen == {
        (*a, "+", *b) for a in itertools.product("01", repeat=2)
        for b in itertools.product("01", repeat=2)
    }  # fmt: skip


@pytest.mark.parametrize("name", ALGORITHMS)
def test_all_symbols_are_declared_and_the_draw_decides(name: str) -> None:
    source, target = drawn(name, 40)
    assert set(source) | set(target) <= set(ALGORITHMS[name].symbols)
    assert drawn(name, 40) == (source, target) != drawn(name, 40, seed=2)
