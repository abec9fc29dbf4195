"""Describe a snapshot and check that it is complete.

    fairseq-memory snapshot show memory.safetensors

A damaged file is rejected in one line.
"""

import argparse
from pathlib import Path

from fairseq_plugins.cli.inspect import run

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "file", type=Path, metavar="snapshot", help="snapshot written by `snapshot save`"
    )
