"""Options of all programs that reproduce results. Imports nothing heavy."""

import argparse
import os
from pathlib import Path

from fairseq_plugins.arguments import positive, seed

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


def source_options(source: Path | None) -> list[object]:
    """Return the options that tell a program of data_prep where the corpus is."""
    return ["--source", source.resolve()] if source else []


def add_options(
    parser: argparse.ArgumentParser, out: str, seeds: tuple[int, ...] = (1, 2, 3)
) -> None:
    """Add the options of all programs that reproduce results.

    Args:
        parser: of the program.
        out: default folder for all output.
        seeds: default seeds of the trainings.
    """
    add = parser.add_argument
    add("--out", type=Path, default=Path(out), help="folder for all output")
    add("--seeds", type=seed, nargs="+", default=seeds, help="seeds; one training for each")
    add("--threads", type=positive, default=os.cpu_count() or 1, help="number of processor cores")
    add(
        "--parallel",
        type=positive,
        default=1,
        help="number of trainings in parallel, which share the cores",
    )
    add("overrides", nargs="*", help="changes to the configuration, in hydra's syntax")
