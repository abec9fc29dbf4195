"""Score translations: BLEU, chrF, and correct words by their frequency in training.

    fairseq-memory evaluate translation test.hyp --ref test.de --train train.de

Several translations, for instance with several seeds, give a mean and a standard deviation.
--baseline adds a significance test. A translation is a text file, the output of fairseq-generate,
or a checkpoint *.pt, which first translates --data.
"""

import argparse
import os
from pathlib import Path

from fairseq_plugins.arguments import positive


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("system", type=Path, nargs="+", help="translations by one system, one for each seed")
    add("--baseline", type=Path, nargs="+", default=[],
        help="translations by another system, one for each translation of SYSTEM")  # fmt: skip
    add("--ref", type=Path, required=True, help="reference translations, one per line")
    add("--train", type=Path, help="target side of the training text, for word frequencies")
    add("--tokenize", choices=("none", "13a"), default="13a",
        help="tokenisation by sacrebleu: 13a for raw text, none for text that is already "
        "tokenised")  # fmt: skip
    add("--remove-bpe", choices=("sentencepiece", "subword_nmt"), help="join subwords into words")
    add("--data", type=Path, help="for checkpoints: folder written by fairseq-preprocess")
    add("--gen-subset", default="test", help="for checkpoints: part of the data to translate")
    add("--beam", type=positive, default=5, help="for checkpoints: hypotheses per sentence")
    add("--threads", type=positive, default=os.cpu_count() or 1,
        help="for checkpoints: number of processor cores")  # fmt: skip
    add("--cpu", action="store_true", help="for checkpoints: do not use a GPU")


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Read, score and compare translations."""
    from fairseq_plugins.evaluation.hypotheses import Generation
    from fairseq_plugins.evaluation.translation import Scoring, evaluate

    if args.baseline and len(args.baseline) != len(args.system):
        args.error("--baseline needs one translation for each translation of the system")
    scoring = Scoring(args.ref, args.train, args.tokenize, args.remove_bpe)
    generation = Generation(args.data, args.gen_subset, args.beam, args.threads, args.cpu)
    report = evaluate(args.system, args.baseline, scoring, generation)
    return str(report), report.as_json()
