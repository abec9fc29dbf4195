"""Attach an empty memory to a trained translator of fairseq.

    fairseq-memory attach --path transformer.pt --data DATA-BIN --output with_memory.pt

The translator may be any encoder-decoder of fairseq, for instance a Transformer. It keeps its
weights, and while its memory is empty, it translates as before. `fill` and `teach` fill the memory.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from fairseq_plugins.arguments import collected, not_negative, positive
from fairseq_plugins.cli._decoding import add_decoding

QUERIES = ("features", "scaled", "pca", "trained")
GATES = ("state", "neighbours", "constant")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--path", type=Path, required=True, help="checkpoint that fairseq-train wrote")
    add("--data", type=Path, required=True,
        help="folder written by fairseq-preprocess, with its training text")  # fmt: skip
    add("--output", type=Path, required=True, help="checkpoint to write")
    add("--query", choices=QUERIES, default="trained",
        help="how queries follow from the decoder's features: as they are; each scaled by its "
        "deviation; their principal components; or trained")  # fmt: skip
    add("--train-updates", type=not_negative, default=100, metavar="N",
        help="for trained: number of updates; the translator keeps its weights")  # fmt: skip
    add("--split", default="train", help="part of the data to fit the queries to")
    add("--query-tokens", type=positive, default=100_000, metavar="N",
        help="target tokens to fit the queries to, at most")  # fmt: skip
    add("--memory-size", type=positive, default=8192, metavar="SLOTS", help="number of slots")
    add("--memory-key-dim", type=positive, default=128, metavar="WIDTH",
        help="width of the keys, for pca and trained")  # fmt: skip
    add("--memory-neighbors", type=positive, default=32, metavar="K",
        help="number of nearest slots that answer a query")  # fmt: skip
    add("--memory-gate", choices=GATES, default="state",
        help="what decides the share of the memory's answer: the decoder's features and the "
        "neighbours; the neighbours alone (adaptive kNN-MT); or nothing (kNN-MT)")  # fmt: skip
    add("--alignment-layer", type=int, default=-1, metavar="LAYER",
        help="for Transformers: decoder layer, from 0, whose attention finds the source words of "
        "taught words; -1 for the last one")  # fmt: skip
    add_decoding(parser)


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Attach the memory and save."""
    from fairseq_plugins.program import device
    from fairseq_plugins.teaching.attach import Attaching, attach

    how = collected(args, Attaching)
    done = attach(args.path, args.output, how, device(args.cpu))
    return str(done), asdict(done) | {"output": str(done.output)}
