"""What our command-line programs share once their arguments are parsed."""

import logging
import signal
import sys

from fairseq_plugins.errors import one_line_errors

TERMINATED = 128 + signal.SIGTERM  # what shells report


def start() -> None:
    """Log to stderr, show bad input as one line, and when ended by SIGTERM, end in order."""
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
        logging.getLogger(library).setLevel(logging.WARNING)  # what they do is ours to tell


def device(cpu: bool) -> str:
    """Choose where to compute: on a GPU if there is one, unless ``cpu`` is wanted."""
    import torch

    return "cuda" if torch.cuda.is_available() and not cpu else "cpu"
