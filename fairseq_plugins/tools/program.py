"""What the command-line programs in ``scripts/`` share."""

import argparse
import logging
import sys

from fairseq_plugins.compat import one_line_errors


def start() -> None:
    """Log to stderr, and show bad input as one line."""
    one_line_errors()
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s | %(levelname)s | %(message)s",
        datefmt="%H:%M:%S",
        force=True,
    )
    for library in ("fairseq", "sacrebleu"):
        logging.getLogger(library).setLevel(logging.WARNING)  # what they do is ours to tell


def positive(text: str) -> int:
    """Parse a number of at least 1, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number of at least 1")
    return number
