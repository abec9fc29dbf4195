"""Algorithmic tasks: input sequences, and the output of an exact algorithm.

Examples are generated on the fly. ``length`` measures the amount of work: symbols to copy, or bits
of each number. Numbers are written with their lowest bit first (Kaiser and Sutskever 2016, section
4).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

DIGITS = [str(digit) for digit in range(10)]
BITS = ["0", "1"]
PLUS, TIMES = "+", "*"


@dataclass(frozen=True)
class Algorithm:
    """One task.

    Attributes:
        symbols: of sources and targets.
        draw: maps length and random numbers to the symbols of source and target.
    """

    symbols: Sequence[str]
    draw: Callable[[int, np.random.Generator], tuple[list[str], list[str]]]


def copy(length: int, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Return digits, and the same digits."""
    digits = [DIGITS[digit] for digit in rng.integers(len(DIGITS), size=length)]
    return digits, digits


def reverse(length: int, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Return digits, and the same digits last to first."""
    digits, _ = copy(length, rng)
    return digits, digits[::-1]


def binary_addition(length: int, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Return two numbers of ``length`` bits, and their sum, which has one more bit."""
    a, b = _number(length, rng), _number(length, rng)
    return [*_bits(a, length), PLUS, *_bits(b, length)], _bits(a + b, length + 1)


def binary_multiplication(length: int, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Return two numbers of ``length`` bits, and their product, which has twice as many."""
    a, b = _number(length, rng), _number(length, rng)
    return [*_bits(a, length), TIMES, *_bits(b, length)], _bits(a * b, 2 * length)


def _number(length: int, rng: np.random.Generator) -> int:
    """Return a number of this many bits, including leading zeros; Python's have no limit."""
    return int.from_bytes(rng.bytes(length // 8 + 1), "little") % (1 << length)


def _bits(number: int, length: int) -> list[str]:
    return [BITS[number >> place & 1] for place in range(length)]


ALGORITHMS = {
    "copy": Algorithm(DIGITS, copy),
    "reverse": Algorithm(DIGITS, reverse),
    "binary_addition": Algorithm([*BITS, PLUS], binary_addition),
    "binary_multiplication": Algorithm([*BITS, TIMES], binary_multiplication),
}
