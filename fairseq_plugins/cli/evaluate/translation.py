"""Score translations: BLEU, chrF, and words that are correct by their frequency in training.

    fairseq-memory evaluate translation test.hyp --ref test.de --train train.de

Give several translations, for instance of several seeds, for mean and standard deviation; give
--baseline for a test of significance. A translation is a text file, the output of fairseq-generate,
or a checkpoint *.pt, which translates --data first.
"""

import argparse
import os
from pathlib import Path

from fairseq_plugins.arguments import positive


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what is compared, and with what."""
    add = parser.add_argument
    add("system", type=Path, nargs="+", help="translations by one system, one a seed")
    add("--baseline", type=Path, nargs="+", default=[],
        help="translations by another system, as many, in pairs")  # fmt: skip
    add("--ref", type=Path, required=True, help="correct translations, one a line")
    add("--train", type=Path, help="target side of the training text, to count words in")
    add("--tokenize", choices=("none", "13a"), default="13a",
        help="13a for raw text, none for text that is tokenised already")  # fmt: skip
    add("--remove-bpe", choices=("sentencepiece", "subword_nmt"), help="join subwords to words")
    add("--data", type=Path, help="for checkpoints: folder that fairseq-preprocess wrote")
    add("--gen-subset", default="test", help="for checkpoints: part of the data")
    add("--beam", type=positive, default=5, help="for checkpoints: hypotheses a sentence")
    add("--threads", type=positive, default=os.cpu_count() or 1,
        help="for checkpoints: processor cores to use")  # fmt: skip
    add("--cpu", action="store_true", help="for checkpoints: do not use a GPU")


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Read, score, compare."""
    from fairseq_plugins.evaluation.hypotheses import Generation
    from fairseq_plugins.evaluation.translation import Scoring, evaluate

    if args.baseline and len(args.baseline) != len(args.system):
        args.error("give as many translations for --baseline as for the system, in pairs")
    scoring = Scoring(args.ref, args.train, args.tokenize, args.remove_bpe)
    generation = Generation(args.data, args.gen_subset, args.beam, args.threads, args.cpu)
    report = evaluate(args.system, args.baseline, scoring, generation)
    return str(report), report.as_json()
