"""Training speed: gnmt beside fairseq's built-in lstm, and gnmt_memory beside gnmt.

    python scripts/benchmark_train.py --json train.json

All have 256 units, 1 + 1 layers and one vocabulary of 8,000 for both languages, and train with
fairseq's own Trainer on the same batches of a generated corpus, with label-smoothed cross-entropy,
gradient clipping and Adam. The lstm is fairseq's default, with an encoder of one direction (gnmt's
has two). What our task does to the memory allocator of its process speeds up the lstm too: it is
measured with and, in a process of its own, without.
"""

import argparse
import functools
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from fairseq_plugins.autocast import FLOAT, SHORT
from fairseq_plugins.benchmarks.duel import Apart, Contender, Duel, Effort, duel
from fairseq_plugins.benchmarks.report import add_options, measurable, run
from fairseq_plugins.benchmarks.translation import Training, arguments, make_corpus
from fairseq_plugins.errors import InputError
from fairseq_plugins.program import positive


@dataclass(frozen=True)
class Model:
    """One contender."""

    arch: str
    autocast: str = FLOAT
    loss: str = "ours"

    @property
    def name(self) -> str:
        """For the table."""
        return f"{self.arch} {self.number_format}"

    @property
    def number_format(self) -> str:
        """Of its products."""
        return "float32" if self.autocast == FLOAT else self.autocast


@dataclass(frozen=True)
class Comparison:
    """Two contenders."""

    title: str
    ours: Model
    rival: Model
    apart: bool = False
    """Whether the rival has a process of its own, and so the system's memory allocator."""


LSTM = Model("lstm", loss="fairseq's")
COMPARISONS = {
    "float32": Comparison("float32", Model("gnmt"), LSTM),
    "float32-apart": Comparison("float32, lstm as users run it", Model("gnmt"), LSTM, apart=True),
    "float32-one-loss": Comparison(
        "float32, fairseq's loss for both", Model("gnmt", loss="fairseq's"), LSTM
    ),
    "bfloat16": Comparison(
        "bfloat16", Model("gnmt", SHORT), Model("lstm", SHORT, loss="fairseq's")
    ),
    "bfloat16-float32-apart": Comparison(
        "bfloat16 beside float32, lstm as users run it", Model("gnmt", SHORT), LSTM, apart=True
    ),
    "memory-float32": Comparison("memory, float32", Model("gnmt_memory"), Model("gnmt")),
    "memory-bfloat16": Comparison(
        "memory, bfloat16", Model("gnmt_memory", SHORT), Model("gnmt", SHORT)
    ),
}


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", nargs="+", choices=COMPARISONS, default=list(COMPARISONS),
        help="comparisons to make (all)")  # fmt: skip
    add("--rival-allocator", choices=("both", "kept", "default"), default="both",
        help="kept: the lstm only in this process, where freed memory is kept; "
        "default: only in processes of its own, with the system's allocator (both)")  # fmt: skip
    add("--rival-bidirectional", action="store_true", help="give the lstm an encoder like gnmt's")
    add("--units", type=positive, default=256, help="width of layers and embeddings (256)")
    add("--layers", type=positive, default=1, help="of encoder and of decoder (1)")
    add("--vocabulary", type=positive, default=8000, help="shared by both languages (8000)")
    add("--max-tokens", type=positive, default=4000, help="a batch (4000)")
    add("--memory-size", type=positive, default=8192, help="slots (8192)")
    add("--memory-key-dim", type=positive, default=128, help="width of keys (128)")
    add("--updates", type=positive, default=3, help="a turn (3)")
    add("--warm-up", type=positive, default=10, help="updates before (10)")
    add("--memory-warm-up", type=positive, default=300,
        help="updates before of models with memory: one that has learned nothing asks the same "
        "at every word, and its search cannot tell near from nearest (300)")  # fmt: skip
    add("--sentences", type=positive, default=20000, help="of the generated corpus (20000)")
    add_options(parser, seconds=60)
    args = parser.parse_args()
    if args.quick:
        args.units, args.vocabulary, args.max_tokens, args.sentences = 16, 200, 200, 100
        args.memory_size, args.memory_key_dim = 64, 8
        args.updates, args.warm_up, args.memory_warm_up, args.seconds = 1, 1, 1, 0.0
    return args


def main() -> None:
    """Make the corpus, measure, tell."""
    args = parse()
    print(run(args, lambda: measure(args)))


def measure(args: argparse.Namespace) -> list[Duel]:
    """All comparisons that were asked for."""
    chosen = [COMPARISONS[name] for name in args.only]
    if args.rival_allocator != "both":
        apart = args.rival_allocator == "default"
        chosen = [one for one in chosen if one.rival.arch != "lstm" or one.apart == apart]
    chosen = [one for one in chosen if measurable(one.ours.number_format, args.device, one.title)]
    if not chosen:
        raise InputError("--only: nothing is left to measure; choose comparisons in float32")
    with tempfile.TemporaryDirectory() as folder:
        make_corpus(Path(folder), args.sentences, args.vocabulary)
        return [compare(args, Path(folder), comparison) for comparison in chosen]


def compare(args: argparse.Namespace, folder: Path, comparison: Comparison) -> Duel:
    """Train both in turns."""

    def contender(model: Model) -> functools.partial[Training]:
        more: list[object] = []
        warm_up = args.warm_up
        if model.arch == "gnmt_memory":
            warm_up = args.memory_warm_up
            more = ["--memory-size", args.memory_size, "--memory-key-dim", args.memory_key_dim]
        if model.arch == "lstm" and args.rival_bidirectional:
            more = ["--encoder-bidirectional"]
        given = arguments(model.arch, args.units, args.layers, model.autocast, model.loss, *more)
        return functools.partial(
            Training, folder, given, args.device, args.max_tokens, args.updates, warm_up,
            args.threads,
        )  # fmt: skip

    with ExitStack() as processes:
        make = contender(comparison.rival)
        rival: Contender = processes.enter_context(Apart(make)) if comparison.apart else make()
        allocator = "default" if comparison.apart else "kept"
        return duel(
            comparison.title,
            (comparison.ours.name, contender(comparison.ours)()),
            (comparison.rival.name, rival),
            Effort(args.seconds),
            "words",
            rival_allocator=allocator,
            models={"ours": asdict(comparison.ours), "rival": asdict(comparison.rival)},
        )


if __name__ == "__main__":
    main()
