"""Options of all programs that reproduce results. Imports nothing heavy."""

import argparse
import os
from pathlib import Path

from fairseq_plugins.arguments import positive, seed

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


def source_options(source: Path | None) -> list[object]:
    """Say to a program of data_prep where the corpus is, if not in the net."""
    return ["--source", source.resolve()] if source else []


def add_options(
    parser: argparse.ArgumentParser, out: str, seeds: tuple[int, ...] = (1, 2, 3)
) -> None:
    """Add what every program that reproduces results can be told.

    Args:
        parser: of the program.
        out: folder for all that is made, unless told otherwise.
        seeds: of the trainings, unless told otherwise.
    """
    add = parser.add_argument
    add("--out", type=Path, default=Path(out), help="folder for all that is made")
    add("--seeds", type=seed, nargs="+", default=seeds, help="one training each")
    add("--threads", type=positive, default=os.cpu_count() or 1, help="processor cores to use")
    add("--parallel", type=positive, default=1, help="trainings at a time, which share the cores")
    add("overrides", nargs="*", help="changes to the configuration, as hydra writes them")
