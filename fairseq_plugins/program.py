"""What our command-line programs share once their arguments are parsed."""

import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

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


def write_json(path: Path, content: object) -> None:
    """Write a file whole or not at all, and its folder if there is none."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """The same for plain text."""
    with replacing(path) as file:
        file.write(text)


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """Open a file for writing text that appears under its name when all of it is written.

    Whatever fails in between leaves what was there.
    """
    if path.exists() and not path.is_file():  # a terminal, a pipe
        with path.open("w", encoding="utf-8", newline="") as file:
            yield file
        return
    path = path.resolve()  # a link stays one
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            yield file
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def device(cpu: bool) -> str:
    """Choose where to compute: on a GPU if there is one, unless ``cpu`` is wanted."""
    import torch

    return "cuda" if torch.cuda.is_available() and not cpu else "cpu"
