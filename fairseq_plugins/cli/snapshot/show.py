"""Show what is in a snapshot, and check that it is whole.

    fairseq-memory snapshot show memory.safetensors

A damaged file is refused with one line.
"""

import argparse
from pathlib import Path

from fairseq_plugins.cli.inspect import run

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say which."""
    parser.add_argument("file", type=Path, metavar="snapshot", help="that `snapshot save` wrote")
