"""Options of dataclasses: their help texts and the values that they allow.

An option is declared in one line. fairseq shows its help, and :func:`check` compares configurations
with its values before any work begins::

    units: int = option(256, "width of embeddings and LSTM layers", SIZE)
"""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Protocol


class Allowed(Protocol):
    """Values that an option allows; ``str`` completes the sentence "must be ..."."""

    def __contains__(self, value: Any) -> bool: ...


def option(default: Any, help: str, allowed: Allowed | None = None) -> Any:
    """Declare a field of a dataclass that can be set on the command line.

    Args:
        default: value if the option is not given.
        help: description for ``--help``.
        allowed: the allowed values; None for all values of the type.
    """
    return field(default=default, metadata={"help": help, "allowed": allowed})


@dataclass(frozen=True)
class Range:
    """Numbers between bounds, without NaN and infinity.

    Attributes:
        least: lower bound, included.
        above: lower bound, excluded.
        most: upper bound, included.
        below: upper bound, excluded.
    """

    least: float = -math.inf
    above: float = -math.inf
    most: float = math.inf
    below: float = math.inf

    def __contains__(self, number: float) -> bool:
        """Return whether the number is between the bounds."""
        finite = abs(number) < math.inf
        return finite and self.least <= number <= self.most and self.above < number < self.below

    def __str__(self) -> str:
        """Return the bounds in words, for instance ``at least 0 and below 1``."""
        named = [("at least", self.least), ("above", self.above),
                 ("at most", self.most), ("below", self.below)]  # fmt: skip
        bounds = [f"{words} {bound:,}" for words, bound in named if abs(bound) < math.inf]
        return " and ".join(bounds) or "a finite number"


@dataclass(frozen=True)
class OneOf:
    """One of several names."""

    names: Collection[str]

    def __contains__(self, name: str) -> bool:
        """Return whether it is one of the names."""
        return name in self.names

    def __str__(self) -> str:
        """Return the names, for instance ``one of auto, float32``."""
        return f"one of {', '.join(self.names)}"


# Far more than any known use, and few enough to be counted and allocated.
SIZE = Range(least=1, most=65_536)  # a width, or a number of layers
LAYER = Range(least=-1, most=65_536)  # the number of a layer, from 0; -1 for the last one
COUNT = Range(least=1, most=1_000_000)  # a number of things that are drawn or listed one by one
SLOTS = Range(least=1, most=2**31 - 1)
UPDATES = Range(least=0)  # a number of updates after which something begins or ends
WEIGHT = Range(least=0, most=1_000_000)  # of a loss
SHARE = Range(least=0, most=1)
DROPOUT = Range(least=0, below=1)


def declared(kind: type) -> Iterator[tuple[str, Allowed]]:
    """Yield the options of a dataclass that declare allowed values.

    A subclass that changes the default of an option need not repeat the declaration.
    """
    for one in fields(kind):
        for parent in kind.__mro__:
            own = vars(parent).get("__dataclass_fields__", {}).get(one.name)
            if own is not None and own.metadata.get("allowed") is not None:
                yield one.name, own.metadata["allowed"]
                break


def check(options: Any, kind: type) -> None:
    """Compare options with the declarations of their dataclass.

    Args:
        options: an object with the fields of ``kind``; None means that an option was not given.
        kind: the dataclass.

    Raises:
        ValueError: names the first option that is out of range, its value, and the range.
    """
    for name, allowed in declared(kind):
        value = getattr(options, name)
        if value is not None and value not in allowed:
            raise ValueError(refusal(name, value, allowed))


def refusal(name: str, value: Any, allowed: Allowed) -> str:
    """Return the message for an option that is rejected."""
    return f"--{name.replace('_', '-')} {value}: must be {allowed}"
