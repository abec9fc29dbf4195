"""Options that benchmarks share. Imports nothing heavy."""

import argparse
from pathlib import Path

from fairseq_plugins.arguments import positive


def add_options(parser: argparse.ArgumentParser, seconds: float) -> None:
    """Add the options of all duels."""
    add = parser.add_argument
    add("--device", choices=("cpu", "cuda"), default="cpu", help="device to compute on")
    add("--threads", type=positive, help="number of processor cores (all)")
    add("--seconds", type=float, default=seconds, help="seconds for each comparison")
    add("--quick", action="store_true", help="use small sizes and few turns, to see that it works")
    add_json(parser)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option for a file with all numbers."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="JSON file for all numbers")


def add_translator(parser: argparse.ArgumentParser, slots: int) -> None:
    """Add options for the translator folder to measure: a copy of one, or an untrained network.

    Args:
        parser: of the benchmark.
        slots: default of ``--slots``.
    """
    add = parser.add_argument
    add("--translator", type=Path, metavar="FOLDER", help="translator folder to copy")
    add("--slots", type=positive, default=slots, help="filled slots of the memory, at least")
    add("--units", type=positive, default=256, help="width of the untrained network")
    add("--vocabulary", type=positive, default=8000, help="words of the untrained network")
    add("--quick", action="store_true", help="use small sizes, to see that it works")
