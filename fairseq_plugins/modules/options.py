"""Options of dataclasses: what each is for, and which values it may take.

An option is declared in one line, which fairseq shows as its help and :func:`check` compares
configurations with, before any work begins::

    units: int = option(256, "width of embeddings and LSTM layers", SIZE)
"""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Protocol


class Allowed(Protocol):
    """Values that an option may take; ``str`` completes the sentence "must be ..."."""

    def __contains__(self, value: Any) -> bool: ...


def option(default: Any, help: str, allowed: Allowed | None = None) -> Any:
    """Declare a field of a dataclass that can be set on the command line.

    Args:
        default: its value if nothing is said.
        help: what it is, for ``--help``.
        allowed: the values that it may take; None for any of its type.
    """
    return field(default=default, metadata={"help": help, "allowed": allowed})


@dataclass(frozen=True)
class Range:
    """Numbers between bounds; NaN and infinity never are.

    Attributes:
        least: smallest number, itself allowed.
        above: the same, but not allowed itself.
        most: largest number, itself allowed.
        below: the same, but not allowed itself.
    """

    least: float = -math.inf
    above: float = -math.inf
    most: float = math.inf
    below: float = math.inf

    def __contains__(self, number: float) -> bool:
        """Whether the number lies between the bounds."""
        finite = abs(number) < math.inf
        return finite and self.least <= number <= self.most and self.above < number < self.below

    def __str__(self) -> str:
        """For instance ``at least 0 and below 1``."""
        named = [("at least", self.least), ("above", self.above),
                 ("at most", self.most), ("below", self.below)]  # fmt: skip
        bounds = [f"{words} {bound:,}" for words, bound in named if abs(bound) < math.inf]
        return " and ".join(bounds) or "a finite number"


@dataclass(frozen=True)
class OneOf:
    """One of several names."""

    names: Collection[str]

    def __contains__(self, name: str) -> bool:
        """Whether it is one of the names."""
        return name in self.names

    def __str__(self) -> str:
        """For instance ``one of auto, float32``."""
        return f"one of {', '.join(self.names)}"


# Far more than any use that we know of, and few enough to be counted and allocated.
SIZE = Range(least=1, most=65_536)  # a width, or a number of layers
COUNT = Range(least=1, most=1_000_000)  # what is drawn or listed one by one
SLOTS = Range(least=1, most=2**31 - 1)
UPDATES = Range(least=0)  # after so many, something begins or ends
WEIGHT = Range(least=0, most=1_000_000)  # of a loss
SHARE = Range(least=0, most=1)
DROPOUT = Range(least=0, below=1)


def declared(kind: type) -> Iterator[tuple[str, Allowed]]:
    """List the options of a dataclass that declare what they allow.

    A subclass that gives an option another default need not repeat the declaration.
    """
    for one in fields(kind):
        for parent in kind.__mro__:
            own = vars(parent).get("__dataclass_fields__", {}).get(one.name)
            if own is not None and own.metadata.get("allowed") is not None:
                yield one.name, own.metadata["allowed"]
                break


def check(options: Any, kind: type) -> None:
    """Compare options with what their dataclass declares.

    Args:
        options: an object with the fields of ``kind``; None stands for an option left out.
        kind: the dataclass.

    Raises:
        ValueError: naming the first option that is out of range, its value, and the range.
    """
    for name, allowed in declared(kind):
        value = getattr(options, name)
        if value is not None and value not in allowed:
            raise ValueError(refusal(name, value, allowed))


def refusal(name: str, value: Any, allowed: Allowed) -> str:
    """Say in one line why an option is refused."""
    return f"--{name.replace('_', '-')} {value}: must be {allowed}"
