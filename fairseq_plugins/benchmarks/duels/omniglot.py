"""Compares the training speed of the one-shot classifier of drawings."""

import argparse
import tempfile
from pathlib import Path

from fairseq_plugins.autocast import AUTO, FLOAT, number_format
from fairseq_plugins.benchmarks.duel import Contender, Duel, Effort, duel
from fairseq_plugins.benchmarks.omniglot import (
    ContiguousEmbedder,
    OneShotTraining,
    PlainTraining,
    make_drawings,
)
from fairseq_plugins.benchmarks.report import measurable
from fairseq_plugins.modules.convnet import ConvEmbedder


def measure(args: argparse.Namespace) -> list[Duel]:
    """Measure all comparisons."""
    with tempfile.TemporaryDirectory() as folder:
        make_drawings(Path(folder), 4 * args.classes)

        def ours(autocast: str, asks: bool = True) -> OneShotTraining:
            training = OneShotTraining(
                Path(folder), args.classes, args.memory_size, autocast, args.updates, asks,
                args.device,
            )  # fmt: skip
            memory = training.memory
            while asks and memory is not None and len(memory) < memory.size:
                training(len(memory))
            return training

        best, effort = ours(AUTO), Effort(args.seconds)

        def plain(autocast: str, kind: type[ConvEmbedder] = ConvEmbedder) -> PlainTraining:
            return PlainTraining(best.dataset, autocast, args.updates, args.device, kind)

        chosen = number_format(AUTO, args.device)
        rivals: dict[str, tuple[str, Contender]] = {
            "beside plain PyTorch": (f"plain, {chosen}", plain(AUTO)),
            "beside a memory that is not queried": (f"no memory, {chosen}", ours(AUTO, asks=False)),
            "beside plain PyTorch, not channels_last": (
                f"plain, {chosen}",
                plain(AUTO, ContiguousEmbedder),
            ),
        }
        title = "bfloat16 beside plain PyTorch in float32"
        if measurable("bfloat16", args.device, title):
            rivals[title] = ("plain, float32", plain(FLOAT))
        return [
            duel(title, ("omniglot_convnet_memory", best), rival, effort, "drawings")
            for title, rival in rivals.items()
        ]
