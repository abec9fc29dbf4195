"""Fill the memory of a trained model with a corpus, or teach it lessons.

    fairseq-memory fill --path checkpoint_best.pt --data DATA-BIN --memory-size 500000 \\
        --calibrate valid --output filled.pt

Writes the target tokens of a binarised corpus in one pass of forced decoding. fairseq-generate,
fairseq-interactive and fairseq-train can use the result like any checkpoint. A copy is kept every
ten minutes; if the program is killed, the same command goes on from there.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from fairseq_plugins.arguments import collected, not_negative, positive
from fairseq_plugins.cli._decoding import add_decoding

STORAGES = ("ram", "mmap")
POLICIES = ("all", "surprise", "rare")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--path", type=Path, required=True, help="checkpoint of a model with a memory")
    add("--data", type=Path,
        help="folder written by fairseq-preprocess, or several, FIRST:SECOND, with the shards of "
        "the corpus")  # fmt: skip
    add("--split", default="train", help="part of the data to remember")
    add("--output", type=Path, required=True, help="checkpoint to write")
    add("--memory-size", type=positive, metavar="SLOTS", help="change the number of slots")
    add("--memory-storage", choices=STORAGES,
        help="where the memory's keys are to be: ram, in the checkpoint, or mmap, in a file beside "
        "it, of which main memory holds only what was used lately")  # fmt: skip
    add("--memory-search", metavar="NAME",
        help="search of the memory from now on: exact, ivf, lsh, auto, or an index of faiss, such "
        "as faiss:IVF1024,SQ8")  # fmt: skip
    add("--memory-recall", type=float, metavar="R",
        help="share of exact search's answers to be found from now on, from 0 to 1")  # fmt: skip
    add("--memory-sure", type=float, metavar="P",
        help="from now on, do not ask the memory in generation where the softmax gives its best "
        "word at least this probability")  # fmt: skip
    add("--memory-sharded", action="store_const", const=True,
        help="divide the memory's keys among the processes that torchrun or scripts/launch.py "
        "starts, from now on")  # fmt: skip
    add("--memory-write", choices=POLICIES, default="all",
        help="tokens to remember: all, those that surprise the model, or rare ones")  # fmt: skip
    add("--memory-surprise", type=float, default=0.5, metavar="P",
        help="for surprise: remember tokens with a lower probability than this")  # fmt: skip
    add("--memory-rare", type=positive, default=100, metavar="N",
        help="for rare: remember tokens that occur less often than this in training")  # fmt: skip
    add("--origin", metavar="NAME",
        help="name of the corpus in explanations (default: folder and split)")  # fmt: skip
    add("--keep-text", action="store_true",
        help="keep the texts of remembered lines in a file beside the output, for explanations; "
        "`pack` takes it along")  # fmt: skip
    add("--teach", action="store_true",
        help="treat each line as a lesson: keep all of it for ever, and learn which source words "
        "its new words translate")  # fmt: skip
    add("--clear", action="store_true", help="empty the memory first")
    add("--drop-alike", type=positive, metavar="N",
        help="after filling, drop slots whose N nearest slots all hold the same value as they do, "
        "but keep one near each of them; lessons stay")  # fmt: skip
    add("--epochs", type=not_negative, default=1, help="passes over the split; 0 writes nothing")
    add("--calibrate", metavar="SPLIT",
        help="part of the data to fit gate and temperature on, such as valid")  # fmt: skip
    add_decoding(parser)


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Fill, calibrate and save."""
    from fairseq_plugins.program import device
    from fairseq_plugins.ranks import team
    from fairseq_plugins.teaching.filled import Filling, fill_checkpoint

    how = collected(args, Filling)
    with team(where := device(args.cpu)):
        done = fill_checkpoint(args.path, args.output, how, where)
    return str(done), asdict(done) | {"output": str(done.output)}
