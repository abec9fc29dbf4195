"""Ranges of numbers on command lines and in YAML files.

A range is declared once: beside the default of the field that it limits, or at the option of a
program. `NaN` is outside every range.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

Number = TypeVar("Number", int, float)
RANGE = "range"  # key in a field's metadata
SHOWN = 40  # most characters of a number in a message


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; integers only, or any.

    It is callable, as a `type` of argparse.
    """

    low: float
    high: float = sys.maxsize
    whole: bool = True

    def __call__(self, text: str) -> Any:
        """Parse a number.

        Raises:
            argparse.ArgumentTypeError: If it is invalid, or outside.
        """
        try:
            number = int(text) if self.whole else float(text)
        except ValueError as error:
            kind = "a whole number" if self.whole else "a number"
            raise argparse.ArgumentTypeError(f"{text[:SHOWN]!r} is not {kind}") from error
        if number not in self:
            raise argparse.ArgumentTypeError(f"{text[:SHOWN]} is not {self}")
        return number

    def __contains__(self, number: float) -> bool:
        return self.low <= number <= self.high

    def __str__(self) -> str:
        if self.high >= sys.maxsize:
            return f"at least {self.low:,}"
        return f"from {self.low:,} to {self.high:,}"


POSITIVE = Range(1)
WORKERS = Range(1, 1024)  # processes; more would only wait for each other
SHARDS = Range(1, 500)  # files open at the same time while text is distributed among them
SEEDS = Range(-(2**63), 2**63 - 1)


def ranged(default: Number, low: float, high: float = sys.maxsize) -> Number:
    """Declare a field of a dataclass that is a number, with its default and range."""
    limits = Range(low, high, whole=isinstance(default, int))
    return field(default=default, metadata={RANGE: limits})  # type: ignore[no-any-return]


def range_of(options: Any, name: str) -> Range:
    """Return the range of a field, given a dataclass or one of its instances."""
    return next(each.metadata[RANGE] for each in fields(options) if each.name == name)


def outside(options: Any) -> Iterator[str]:
    """Yield the numbers of an instance that are out of range: `max_words: 0 is not ...`."""
    for each in fields(options):
        limits = each.metadata.get(RANGE)
        number = getattr(options, each.name)
        if limits is not None and number not in limits:
            yield f"{each.name}: {str(number)[:SHOWN]} is not {limits}"
