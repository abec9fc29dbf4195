"""Command lines: types of numbers, and help that shows defaults. Imports nothing heavy."""

import argparse
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

Options = TypeVar("Options")  # a dataclass
PICTURES = (".pdf", ".png", ".svg")
LARGEST_SEED = 2**31 - 1  # half of numpy's limit: epochs add to the seed
LARGEST_PORT = 65_535


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of a program's description, and shows defaults that are informative."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, False, [], ""):
            return action.help
        return super()._get_help_string(action)


def collected(args: argparse.Namespace, kind: type[Options]) -> Options:
    """Return a dataclass whose fields are arguments of the same names.

    Args:
        args: parsed command line.
        kind: the dataclass.
    """
    return kind(**{field.name: getattr(args, field.name) for field in fields(kind)})  # type: ignore[arg-type]


def positive(text: str) -> int:
    """Parse an integer of at least 1, for argparse."""
    return _at_least(1, text)


def not_negative(text: str) -> int:
    """Parse an integer of at least 0, for argparse."""
    return _at_least(0, text)


def seed(text: str) -> int:
    """Parse a random seed, for argparse."""
    number = not_negative(text)
    if number > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text} is larger than {LARGEST_SEED:,}")
    return number


def port(text: str) -> int:
    """Parse the number of a TCP port, for argparse; 0 stands for any that is free."""
    number = not_negative(text)
    if number > LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"{text} is larger than {LARGEST_PORT:,}")
    return number


def picture(text: str) -> Path:
    """Parse the file name of a picture to write, for argparse."""
    path = Path(text)
    if path.suffix not in PICTURES:
        raise argparse.ArgumentTypeError(f"{text} does not end in {', '.join(PICTURES)}")
    return path


def _at_least(least: int, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"{text} is not a number of at least {least}")
    return number
