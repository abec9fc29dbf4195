"""Numbers outside their range are rejected, wherever they come from."""

import argparse
from dataclasses import dataclass
from math import inf, nan

import pytest

from data_prep.core.ranges import Range, outside, range_of, ranged


@dataclass
class Options:
    units: int = ranged(4, 1, 10)
    share: float = ranged(0.5, 0, 1)
    unlimited: float = ranged(2.0, 1, inf)
    name: str = ""


@pytest.mark.parametrize("text", ["0", "11", "-1", "1.5", "nan", "x", "", "1" * 5000])
def test_whole_numbers_of_a_command_line(text: str) -> None:
    assert range_of(Options, "units")("10") == 10
    with pytest.raises(argparse.ArgumentTypeError, match="is not"):
        range_of(Options, "units")(text)


@pytest.mark.parametrize("text", ["nan", "inf", "-0.1", "1.1", "x"])
def test_numbers_of_a_command_line(text: str) -> None:
    assert range_of(Options, "share")("0.25") == 0.25
    with pytest.raises(argparse.ArgumentTypeError, match="is not"):
        range_of(Options, "share")(text)


def test_a_range_can_have_no_end() -> None:
    assert range_of(Options, "unlimited")("inf") == inf
    assert str(Range(1)) == "at least 1"


def test_fields_outside_are_named() -> None:
    assert list(outside(Options())) == []
    wrong = Options(units=0, share=nan)
    assert list(outside(wrong)) == ["units: 0 is not from 1 to 10", "share: nan is not from 0 to 1"]
