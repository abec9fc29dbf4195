"""Compares training speed: gnmt with fairseq's built-in lstm, and gnmt_memory with gnmt."""

import argparse
import functools
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from fairseq_plugins.autocast import FLOAT, SHORT
from fairseq_plugins.benchmarks.duel import Apart, Contender, Duel, Effort, duel
from fairseq_plugins.benchmarks.report import measurable
from fairseq_plugins.benchmarks.translation import Training, arguments, make_corpus
from fairseq_plugins.errors import InputError


@dataclass(frozen=True)
class Model:
    """One contender."""

    arch: str
    autocast: str = FLOAT
    loss: str = "ours"

    @property
    def name(self) -> str:
        """Name in the table."""
        return f"{self.arch} {self.number_format}"

    @property
    def number_format(self) -> str:
        """Number format of its products."""
        return "float32" if self.autocast == FLOAT else self.autocast


@dataclass(frozen=True)
class Comparison:
    """Two contenders."""

    title: str
    ours: Model
    rival: Model
    apart: bool = False
    """Whether the rival has a separate process, and so the system's memory allocator."""


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


def measure(args: argparse.Namespace) -> list[Duel]:
    """Measure the selected comparisons."""
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
    """Train both in turn."""

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
