"""Speed of translation with a memory beside the same model without.

    python scripts/benchmark_decode.py --json decode.json

gnmt_memory with a full memory, beside gnmt of the same sizes and beside itself with an empty
memory: beam search with 5 hypotheses, 128 sentences at a time, as fairseq-generate does it, and
memories of 8,192 and of 65,536 slots. The models are not trained: the memory holds what they would
write while reading a generated corpus, and all translations are made equally long.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

from fairseq_plugins.benchmarks.duel import Duel, Effort, duel
from fairseq_plugins.benchmarks.report import add_options, run
from fairseq_plugins.benchmarks.translation import Decoding, arguments, make_corpus
from fairseq_plugins.program import positive


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--slots", type=positive, nargs="+", default=[8192, 65536], help="memory sizes")
    add("--units", type=positive, default=256, help="width of layers and embeddings (256)")
    add("--layers", type=positive, default=2, help="of encoder and of decoder (2)")
    add("--vocabulary", type=positive, default=8000, help="shared by both languages (8000)")
    add("--beam", type=positive, default=5, help="hypotheses a sentence (5)")
    add("--batch-size", type=positive, default=128, help="sentences at a time (128)")
    add("--length", type=positive, default=25, help="words of every translation (25)")
    add("--sentences", type=positive, default=5000, help="of the generated corpus (5000)")
    add_options(parser, seconds=30)
    args = parser.parse_args()
    if args.quick:
        args.slots, args.units, args.vocabulary, args.sentences = [64], 16, 200, 200
        args.batch_size, args.length, args.beam, args.seconds = 16, 5, 2, 0.0
    return args


def main() -> None:
    """Make the corpus, measure, tell."""
    args = parse()
    print(run(args, lambda: measure(args)))


def measure(args: argparse.Namespace) -> list[Duel]:
    """All sizes of memory."""
    with tempfile.TemporaryDirectory() as folder:
        make_corpus(Path(folder), args.sentences, args.vocabulary)
        return [duel for slots in args.slots for duel in compare(args, Path(folder), slots)]


def compare(args: argparse.Namespace, folder: Path, slots: int) -> list[Duel]:
    """One size of memory against no memory, and against an empty one."""

    def contender(arch: str, *more: object, empty: bool = False) -> Decoding:
        given = arguments(arch, args.units, args.layers, "none", "ours", *more)
        return Decoding(folder, given, args.device, args.batch_size, args.beam, args.length, empty)

    with_memory = partial(contender, "gnmt_memory", "--memory-size", slots)
    full = with_memory()
    rivals = {"gnmt": contender("gnmt"), "empty memory": with_memory(empty=True)}
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


if __name__ == "__main__":
    main()
