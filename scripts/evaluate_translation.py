"""Score translations: BLEU, chrF, and words right by their frequency in training.

    python scripts/evaluate_translation.py test.hyp --ref text/test.de --train text/train.de

Give several translations, for instance of several seeds, for mean and standard deviation; give
--baseline for a test of significance. A translation is a text file, the output of fairseq-generate,
or a checkpoint *.pt, which translates --data first.
"""

import argparse
import logging
import os
from pathlib import Path

from fairseq_plugins.evaluation.hypotheses import Generation, hypotheses, read_lines
from fairseq_plugins.evaluation.scoring import Scorer, table
from fairseq_plugins.program import positive, start, write_json

logger = logging.getLogger("evaluate_translation")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("system", type=Path, nargs="+", help="translations by one system, one a seed")
    add("--baseline", type=Path, nargs="+", default=[], help="by another one, as many")
    add("--ref", type=Path, required=True, help="right translations, one a line")
    add("--train", type=Path, help="target side of the training text, to count words in")
    add("--tokenize", choices=("none", "13a"), default="13a",
        help="13a for raw text, none for text that is tokenised already")  # fmt: skip
    add("--remove-bpe", choices=("sentencepiece", "subword_nmt"), help="join subwords to words")
    add("--json", type=Path, metavar="FILE", help="write all numbers there, too")
    add("--data", type=Path, help="for checkpoints: folder that fairseq-preprocess wrote")
    add("--gen-subset", default="test", help="for checkpoints: part of the data")
    add("--beam", type=positive, default=5, help="for checkpoints")
    add("--threads", type=positive, default=os.cpu_count() or 1, help="for checkpoints")
    add("--cpu", action="store_true", help="for checkpoints: do not use a GPU")
    args = parser.parse_args()
    if args.baseline and len(args.baseline) != len(args.system):
        parser.error("give as many translations for --baseline as for the system, in pairs")
    return args


def main() -> None:
    """Read, score, tell."""
    args = parse()
    start()
    references = read_lines(args.ref)
    generation = Generation(args.data, args.gen_subset, args.beam, args.threads, args.cpu)
    scorer = Scorer(references, args.train and read_lines(args.train), args.tokenize)
    paths = {"baseline": args.baseline, "system": args.system}
    texts = {
        group: [hypotheses(p, len(references), args.remove_bpe, generation) for p in paths[group]]
        for group in paths
    }
    groups = {
        group: [scorer.score(str(p), t) for p, t in zip(paths[group], texts[group], strict=True)]
        for group in texts
    }
    pairs = zip(texts["baseline"], texts["system"], strict=False)
    significance = [scorer.significance(*pair) for pair in pairs]

    print(table({name: group for name, group in groups.items() if group}))
    for name, signature in scorer.signatures.items():
        print(f"{name}  {signature}")
    for path, result in zip(args.system, significance, strict=False):
        values = ", ".join(f"{name} p = {p:.4f}" for name, p in result.items())
        print(f"{path} against its baseline, paired bootstrap: {values}")
    if args.json:
        numbers = {name: [s.as_json() for s in group] for name, group in groups.items()}
        report = numbers | {"signatures": scorer.signatures, "significance": significance}
        write_json(args.json, report)


if __name__ == "__main__":
    main()
