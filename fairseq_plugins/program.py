"""What our command-line programs do once their arguments are parsed."""

import logging
import os
import signal
import sys

from fairseq_plugins.errors import InputError, one_line_errors

TERMINATED = 128 + signal.SIGTERM  # as shells report it
UNREAD = 128 + 13  # the same of a program that writes to a pipe that nobody reads: SIGPIPE


def start() -> None:
    """Log to stderr, show invalid input as one line, and exit cleanly on SIGTERM."""
    one_line_errors()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s | %(levelname)s | %(message)s",
        datefmt="%H:%M:%S",
        force=True,
    )
    for library in ("fairseq", "sacrebleu"):
        logging.getLogger(library).setLevel(logging.WARNING)  # our own log reports what they do


def tell(text: str) -> None:
    """Write a line to standard output at once.

    A reader that has seen enough, such as ``head``, ends the program without a word.

    Raises:
        InputError: if it cannot be written, for instance to a full disk.
    """
    if sys.stdout is None:
        raise InputError("standard output is closed; open it, or send it to /dev/null")
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except OSError as error:
        with open(os.devnull, "w") as nowhere:  # where the rest goes when the program ends
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            sys.exit(UNREAD)
        raise InputError(f"standard output cannot be written to: {error.strerror}") from error


def device(cpu: bool) -> str:
    """Return the device to compute on: a GPU if there is one, unless ``cpu`` is set."""
    import torch

    return "cuda" if torch.cuda.is_available() and not cpu else "cpu"
