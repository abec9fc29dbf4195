"""Types of numbers and files on our command lines."""

import argparse
import re

import pytest

from fairseq_plugins.arguments import not_negative, picture, positive, seed


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (positive, "0"),
        (positive, "x"),
        (not_negative, "-1"),
        (not_negative, "0.5"),
        (seed, "-1"),
        (seed, str(2**70)),
        (picture, "a.xyz"),
    ],
)
def test_what_is_out_of_range_is_refused(kind: object, text: str) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--number", type=kind)
    with pytest.raises(argparse.ArgumentError, match=f": {re.escape(text)} "):
        parser.parse_args(["--number", text])


def test_the_others_are_taken() -> None:
    assert (positive("1"), not_negative("0"), seed("2147483647")) == (1, 0, 2147483647)
    assert picture("new/a.svg").name == "a.svg"
