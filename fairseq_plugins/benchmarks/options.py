"""Options of all benchmarks. Imports nothing heavy."""

import argparse
from pathlib import Path

from fairseq_plugins.arguments import positive


def add_options(parser: argparse.ArgumentParser, seconds: float) -> None:
    """Add the options of all benchmark programs."""
    add = parser.add_argument
    add("--device", choices=("cpu", "cuda"), default="cpu", help="device to compute on")
    add("--threads", type=positive, help="number of processor cores (all)")
    add("--seconds", type=float, default=seconds, help="seconds for each comparison")
    add("--quick", action="store_true", help="use small sizes and few turns, to see that it works")
    add("--json", type=Path, metavar="FILE", help="JSON file for all numbers")
