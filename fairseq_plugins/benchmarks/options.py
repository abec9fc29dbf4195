"""Options that all benchmarks have. Imports nothing heavy."""

import argparse
from pathlib import Path

from fairseq_plugins.arguments import positive


def add_options(parser: argparse.ArgumentParser, seconds: float) -> None:
    """Give a benchmark program the options that all of them have."""
    add = parser.add_argument
    add("--device", choices=("cpu", "cuda"), default="cpu", help="where to compute")
    add("--threads", type=positive, help="processor cores to use (all)")
    add("--seconds", type=float, default=seconds, help="for each comparison")
    add("--quick", action="store_true", help="small sizes and few turns, to see that it works")
    add("--json", type=Path, metavar="FILE", help="write all numbers there, too")
