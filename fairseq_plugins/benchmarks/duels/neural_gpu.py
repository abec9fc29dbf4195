"""Compares the training speed of the Neural GPU."""

import argparse
import tempfile
from pathlib import Path

from fairseq_plugins.autocast import AUTO, number_format
from fairseq_plugins.benchmarks.duel import Duel, Effort, duel
from fairseq_plugins.benchmarks.neural_gpu import (
    FORMATS,
    Computing,
    Convolutions,
    Image,
    RareSymbolsTraining,
)
from fairseq_plugins.benchmarks.report import measurable


def measure(args: argparse.Namespace) -> list[Duel]:
    """Measure all comparisons."""
    effort, duels = Effort(args.seconds), []
    for name in FORMATS:
        title = f"CGRUs in {name}"
        if not measurable(name, args.device, title):
            continue
        image = Image(args.batch_size, args.columns, 4, args.maps, 2, name, args.device)
        duels.append(
            duel(
                title,
                ("CGRUs", Computing(image)),
                ("their convolutions", Convolutions(image)),
                effort,
                "steps",
            )
        )
    with tempfile.TemporaryDirectory() as folder:

        def training(memory: int) -> RareSymbolsTraining:
            return RareSymbolsTraining(
                Path(folder), memory, args.batch_size, args.maps, AUTO, args.updates,
                args.device, args.memory_warm_up if memory else 0,
            )  # fmt: skip

        duels.append(
            duel(
                f"training with a memory, {number_format(AUTO, args.device)}",
                ("extended_neural_gpu_memory", training(args.memory_size)),
                ("extended_neural_gpu", training(0)),
                effort,
                "sequences",
            )
        )
    return duels
