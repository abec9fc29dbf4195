"""Fill the memory of a trained model with a corpus, or teach it a larger one.

    fairseq-memory fill --path checkpoint_best.pt --data DATA-BIN --memory-size 500000 \\
        --calibrate valid --output filled.pt

One pass of forced decoding over a binarised corpus writes its target tokens. fairseq-generate,
fairseq-interactive and fairseq-train use the result like any checkpoint.
"""

import argparse
from dataclasses import asdict, fields
from pathlib import Path

from fairseq_plugins.arguments import not_negative, positive, seed

AUTOCAST = ("auto", "none", "bfloat16")
POLICIES = ("all", "surprise", "rare")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what is remembered, and how."""
    add = parser.add_argument
    add("--path", type=Path, required=True, help="checkpoint of a model with memory")
    add("--data", type=Path,
        help="folder that fairseq-preprocess wrote, or several, FIRST:SECOND, that hold the "
        "shards of the corpus")  # fmt: skip
    add("--split", default="train", help="part of the data that is remembered")
    add("--output", type=Path, required=True, help="checkpoint to write")
    add("--memory-size", type=positive, metavar="SLOTS", help="change the number of slots")
    add("--memory-write", choices=POLICIES, default="all",
        help="remember all target tokens, those that surprise the model, or rare ones")  # fmt: skip
    add("--memory-surprise", type=float, default=0.5, metavar="P",
        help="for surprise: tokens below this probability")  # fmt: skip
    add("--memory-rare", type=positive, default=100, metavar="N",
        help="for rare: tokens seen less often than this in training")  # fmt: skip
    add("--teach", action="store_true",
        help="take each line for a lesson: keep all of it, for ever, and its new words with the "
        "source words that they stand for")  # fmt: skip
    add("--clear", action="store_true", help="forget first what the memory holds")
    add("--epochs", type=not_negative, default=1, help="passes over the split; 0 only calibrates")
    add("--calibrate", metavar="SPLIT",
        help="fit gate and temperature on this part of the data, for instance valid")  # fmt: skip
    add("--max-tokens", type=positive, default=4000, help="target tokens a batch")
    add("--seed", type=seed, default=1, help="of the order of the batches")
    add("--autocast", choices=AUTOCAST, default="auto",
        help="number format of matrix products; auto is bfloat16 where the processor multiplies it "
        "natively, and float32, or none, elsewhere")  # fmt: skip
    add("--cpu", action="store_true", help="do not use a GPU")


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Fill."""
    from fairseq_plugins.program import device
    from fairseq_plugins.teaching.filled import Filling, fill_checkpoint

    how = Filling(**{field.name: getattr(args, field.name) for field in fields(Filling)})
    done = fill_checkpoint(args.path, args.output, how, device(args.cpu))
    return str(done), asdict(done) | {"output": str(done.output)}
