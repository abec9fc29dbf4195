"""Arguments of the verbs that decode a corpus with its translations given."""

import argparse

from fairseq_plugins.arguments import positive, seed
from fairseq_plugins.cli._translator import add_device

AUTOCAST = ("auto", "none", "bfloat16")


def add_decoding(parser: argparse.ArgumentParser) -> None:
    """Declare the size and order of batches, their number format, and the device."""
    add = parser.add_argument
    add("--max-tokens", type=positive, default=4000, help="target tokens per batch, at most")
    add("--seed", type=seed, default=1, help="seed of the order of batches")
    add("--autocast", choices=AUTOCAST, default="auto",
        help="number format of matrix products: none for float32; auto for bfloat16 where it is "
        "native, and float32 elsewhere")  # fmt: skip
    add_device(parser)
