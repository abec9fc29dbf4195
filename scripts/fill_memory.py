"""Fill the memory of a trained translator with a corpus, or teach it a larger one.

One pass of forced decoding over a binarised corpus, writing its target tokens:

    python scripts/fill_memory.py --path checkpoint_best.pt --data DATA-BIN --memory-size 500000 \
        --calibrate valid --output filled.pt

fairseq-generate, fairseq-interactive and fairseq-train use the result like any checkpoint.
"""

import argparse
import logging
import time
from dataclasses import replace
from pathlib import Path

import torch

from fairseq_plugins import allocator, autocast
from fairseq_plugins.criterions.memory_cross_entropy import policy_for
from fairseq_plugins.modules.write_policy import POLICIES
from fairseq_plugins.program import not_negative, positive, start
from fairseq_plugins.teaching.calibrate import calibrate
from fairseq_plugins.teaching.fill import Corpus, Translator, fill

logger = logging.getLogger("fill_memory")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--path", type=Path, required=True, help="checkpoint of a model with memory")
    add("--data", type=Path, help="folder that fairseq-preprocess wrote")
    add("--split", default="train", help="part of the data that is remembered")
    add("--output", type=Path, required=True, help="checkpoint to write")
    add("--memory-size", type=positive, metavar="SLOTS", help="change the number of slots")
    add("--memory-write", choices=POLICIES, default="all",
        help="remember all target tokens, those that surprise the model, or rare ones")  # fmt: skip
    add("--memory-surprise", type=float, default=0.5, metavar="P",
        help="for surprise: tokens below this probability")  # fmt: skip
    add("--memory-rare", type=positive, default=100, metavar="N",
        help="for rare: tokens seen less often than this in training")  # fmt: skip
    add("--clear", action="store_true", help="forget first what the memory holds")
    add("--epochs", type=not_negative, default=1, help="passes over the split; 0 only calibrates")
    add("--calibrate", metavar="SPLIT",
        help="fit gate and temperature on this part of the data, for instance valid")  # fmt: skip
    add("--max-tokens", type=positive, default=4000, help="target tokens a batch")
    add("--seed", type=int, default=1, help="of the order of the batches")
    add("--autocast", choices=autocast.CHOICES, default=autocast.AUTO, help=autocast.HELP)
    add("--cpu", action="store_true", help="do not use a GPU")
    return parser.parse_args()


def main() -> None:
    """Load, fill, calibrate, save."""
    args = parse()
    start()
    allocator.keep_freed_memory()
    torch.manual_seed(args.seed)
    translator = Translator(
        args.path,
        Corpus(args.data, args.max_tokens, args.seed),
        args.memory_size,
        "cuda" if torch.cuda.is_available() and not args.cpu else "cpu",
        args.autocast,
    )
    if args.clear:
        translator.memory.clear()
    words = translator.task.target_dictionary
    policy = policy_for(words, args.memory_write, args.memory_surprise, args.memory_rare)
    if args.epochs:
        begin = time.perf_counter()
        report = fill(translator, args.split, policy, args.epochs)
        logger.info("%s", replace(report, seconds=time.perf_counter() - begin))
    if args.calibrate:
        logger.info("%s", calibrate(translator, args.calibrate))
    translator.save(args.output)
    logger.info("Wrote %s", args.output)


if __name__ == "__main__":
    main()
