"""Training speed of the Neural GPU.

    python scripts/benchmark_neural_gpu.py --json neural_gpu.json

Its convolutional gated recurrent units beside their convolutions alone, forward and backward; and
a training on rare symbols with a full memory beside one without memory.
"""

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
from fairseq_plugins.benchmarks.report import add_options, measurable, run
from fairseq_plugins.program import positive


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--batch-size", type=positive, default=32, help="sequences (32)")
    add("--columns", type=positive, default=42, help="n, of the state (42)")
    add("--maps", type=positive, default=24, help="m (24)")
    add("--memory-size", type=positive, default=8192, help="slots (8192)")
    add("--memory-warm-up", type=positive, default=200,
        help="updates of the training with memory, before: what has learned nothing asks the same "
             "of its memory for every symbol (200)")  # fmt: skip
    add("--updates", type=positive, default=5, help="of a training, a turn (5)")
    add_options(parser, seconds=20)
    args = parser.parse_args()
    if args.quick:
        args.batch_size, args.columns, args.maps, args.updates, args.seconds = 2, 4, 8, 1, 0.0
        args.memory_size, args.memory_warm_up = 64, 1
    return args


def main() -> None:
    """Measure, tell."""
    args = parse()
    print(run(args, lambda: measure(args)))


def measure(args: argparse.Namespace) -> list[Duel]:
    """All comparisons."""
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


if __name__ == "__main__":
    main()
