"""Training speed of the one-shot classifier of drawings.

    python scripts/benchmark_omniglot.py --json omniglot.json

With fairseq's Trainer and a full memory, beside: the same network and loss in a plain loop of
PyTorch without a memory; the same Trainer whose memory is never asked; float32.
"""

import argparse
import tempfile
from pathlib import Path

from fairseq_plugins.autocast import AUTO, FLOAT, number_format
from fairseq_plugins.benchmarks.duel import Duel, Effort, duel
from fairseq_plugins.benchmarks.omniglot import (
    ContiguousEmbedder,
    OneShotTraining,
    PlainTraining,
    make_drawings,
)
from fairseq_plugins.benchmarks.report import add_options, measurable, run
from fairseq_plugins.modules.convnet import ConvEmbedder
from fairseq_plugins.program import positive


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--classes", type=positive, default=60, help="a batch, with two drawings of each (60)")
    add("--memory-size", type=positive, default=8192, help="slots (8192)")
    add("--updates", type=positive, default=10, help="a turn (10)")
    add_options(parser, seconds=20)
    args = parser.parse_args()
    if args.quick:
        args.classes, args.memory_size, args.updates, args.seconds = 8, 64, 1, 0.0
    return args


def main() -> None:
    """Measure, tell."""
    args = parse()
    print(run(args, lambda: measure(args)))


def measure(args: argparse.Namespace) -> list[Duel]:
    """All comparisons."""
    with tempfile.TemporaryDirectory() as folder:
        make_drawings(Path(folder), 4 * args.classes)

        def ours(autocast: str, asks: bool = True) -> OneShotTraining:
            training = OneShotTraining(
                Path(folder), args.classes, args.memory_size, autocast, args.updates, asks,
                args.device,
            )  # fmt: skip
            while asks and len(training.memory) < training.memory.size:
                training(len(training.memory))
            return training

        best, effort = ours(AUTO), Effort(args.seconds)

        def plain(autocast: str, kind: type[ConvEmbedder] = ConvEmbedder) -> PlainTraining:
            return PlainTraining(best.dataset, autocast, args.updates, args.device, kind)

        chosen = number_format(AUTO, args.device)
        rivals = {
            "beside plain PyTorch": (f"plain, {chosen}", plain(AUTO)),
            "beside a memory never asked": (f"no memory, {chosen}", ours(AUTO, asks=False)),
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


if __name__ == "__main__":
    main()
