"""Compares the speed of translation with a memory and without."""

import argparse
import tempfile
from functools import partial
from pathlib import Path

from fairseq_plugins.benchmarks.duel import Duel, Effort, duel
from fairseq_plugins.benchmarks.translation import Decoding, arguments, make_corpus


def measure(args: argparse.Namespace) -> list[Duel]:
    """Measure all sizes of memory."""
    with tempfile.TemporaryDirectory() as folder:
        make_corpus(Path(folder), args.sentences, args.vocabulary)
        return [duel for slots in args.slots for duel in compare(args, Path(folder), slots)]


def compare(args: argparse.Namespace, folder: Path, slots: int) -> list[Duel]:
    """Compare one size of memory with no memory, and with an empty one."""

    def contender(arch: str, *more: object, empty: bool = False) -> Decoding:
        given = arguments(arch, args.units, args.layers, "none", "ours", *more)
        return Decoding(folder, given, args.device, args.batch_size, args.beam, args.length, empty)

    with_memory = partial(contender, "gnmt_memory", "--memory-size", slots)
    full = with_memory()
    rivals = {"gnmt": contender("gnmt"), "an empty memory": with_memory(empty=True)}
    return [
        duel(
            f"{slots:,} slots, beside {name}",
            ("gnmt_memory", full),
            (name, rival),
            Effort(args.seconds),
            "sentences",
            slots=slots,
        )
        for name, rival in rivals.items()
    ]
