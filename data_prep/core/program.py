"""What all command-line programs of this package share: logging, and errors of one line."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

logger = logging.getLogger(__name__)

FAILED = 1
INTERRUPTED = 130  # what shells report for a program stopped with Ctrl-C


class DataError(Exception):
    """Bad input. The message is one line: which file, which line, and what to do about it."""


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of a program's docstring, and shows the default of every option."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


def run_program(main: Callable[[argparse.Namespace], None], arguments: argparse.Namespace) -> int:
    """Run a command-line program; report errors that the user can correct in one line on stderr.

    Args:
        main: The program.
        arguments: Its parsed arguments.

    Returns:
        The exit status: 0, 1 after an error, 130 after Ctrl-C.
    """
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s | %(levelname)s | %(message)s",
        datefmt="%H:%M:%S",
    )
    try:
        main(arguments)
    except DataError as error:
        logger.error("%s", error)
        return FAILED
    except OSError as error:  # no permission, a file in place of a folder ...
        where = f"{error.filename}: " if error.filename else ""
        logger.error("%s%s", where, error.strerror or error)
        return FAILED
    except KeyboardInterrupt:
        logger.error("Interrupted. Run the same command again to continue.")
        return INTERRUPTED
    return 0


def given_path(text: str) -> Path:
    """Parse the name of a file or folder, for argparse; reject an empty one."""
    if not text:
        raise argparse.ArgumentTypeError("an empty name; write `.` for the current folder")
    return Path(text)


def add_out(parser: argparse.ArgumentParser) -> None:
    """Add the option that all programs have."""
    parser.add_argument("--out", type=given_path, required=True, help="folder for all output")


def add_source(parser: argparse.ArgumentParser, what: str) -> None:
    """Add an option to take what a program downloads from a folder instead."""
    parser.add_argument(
        "--source",
        type=given_path,
        help=f"folder with the {what}; by default they are downloaded",
    )


def comma_separated(text: str) -> Sequence[str]:
    """Parse `a,b,c`, for argparse."""
    parts = [part for part in text.split(",") if part]
    if not parts:
        raise argparse.ArgumentTypeError(f"{text!r} names nothing")
    return parts
