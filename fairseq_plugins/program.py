"""What our command-line programs do once their arguments are parsed."""

import logging
import signal
import sys

from fairseq_plugins.errors import one_line_errors

TERMINATED = 128 + signal.SIGTERM  # as shells report it


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


def device(cpu: bool) -> str:
    """Return the device to compute on: a GPU if there is one, unless ``cpu`` is set."""
    import torch

    return "cuda" if torch.cuda.is_available() and not cpu else "cpu"
