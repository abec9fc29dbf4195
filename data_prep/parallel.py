"""Prepares line-aligned parallel text for fairseq: clean, learn a vocabulary, encode, binarise.

    python -m data_prep.parallel --train corpus/train --valid corpus/dev --test corpus/test \\
        --source-lang en --target-lang de --out prepared --vocab-size 8000

reads `corpus/train.en`, `corpus/train.de` and so on (plain or `.gz`, UTF-8) and makes

    prepared/text/{train,valid,test}.{en,de}     cleaned text
    prepared/raw/{valid,test}.{en,de}            the same as it was; references for BLEU
    prepared/report.json, report.txt             what was dropped and why, with examples
    prepared/spm.model                           the joint sentencepiece model
    prepared/pieces/{train,valid,test}.{en,de}   the text in pieces
    prepared/data-bin/                           for fairseq-train; dict.en.txt = dict.de.txt

Further test sets become `test1`, `test2`, ... The work may be killed at any time: the same
command goes on with the first stage that is not finished, and does again what depends on
changed input or options.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.core.files import find_text
from data_prep.core.program import DataError, HelpFormatter, comma_separated, positive, run_program
from data_prep.text.cleaning import Corpus
from data_prep.text.quality import CleaningOptions
from data_prep.text.recipe import Recipe, prepare
from data_prep.text.sentencepiece_model import SentencePieceOptions


@dataclass(frozen=True)
class ParallelData:
    """Where the text is: for each part, the common beginnings of its files' names."""

    train: Sequence[str]
    valid: Sequence[str]
    test: Sequence[str]
    languages: tuple[str, str]

    def corpora(self) -> list[Corpus]:
        """Return train, valid, test, test1, ... with the files found.

        Raises:
            DataError: If a file is missing.
        """
        parts = [("train", self.train), ("valid", self.valid)]
        parts += [(f"test{n or ''}", [prefix]) for n, prefix in enumerate(self.test)]
        source, target = self.languages
        return [
            Corpus(name, [(find_text(p, source), find_text(p, target)) for p in prefixes])
            for name, prefixes in parts
        ]


def add_vocabulary_options(parser: argparse.ArgumentParser, vocab_size: int) -> None:
    """Add what decides the vocabulary, and --workers, to a command line."""
    default = SentencePieceOptions()
    add = parser.add_argument_group("vocabulary").add_argument
    add("--vocab-size", type=positive, default=vocab_size, help="pieces of both languages together")
    add(
        "--model-type",
        choices=["bpe", "unigram"],
        default=default.model_type,
        help="how sentencepiece learns them",
    )
    add(
        "--normalization",
        choices=["identity", "nmt_nfkc"],
        default=default.normalization,
        help="by sentencepiece, after Unicode NFC",
    )
    add(
        "--character-coverage",
        type=float,
        default=default.character_coverage,
        help="share of all characters that become pieces; 0.9995 for Chinese or Japanese",
    )
    add("--seed", type=int, default=default.seed, help="of the sample of a very large corpus")
    add("--workers", type=positive, default=1, help="processes; changes no result")


def vocabulary_options(arguments: argparse.Namespace) -> SentencePieceOptions:
    """Return what `add_vocabulary_options` added."""
    return SentencePieceOptions(
        vocab_size=arguments.vocab_size,
        model_type=arguments.model_type,
        normalization=arguments.normalization,
        character_coverage=arguments.character_coverage,
        seed=arguments.seed,
    )


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=HelpFormatter, usage="%(prog)s [options]"
    )
    add = parser.add_argument_group("text").add_argument
    for part in ("train", "valid", "test"):
        add(
            f"--{part}",
            type=comma_separated,
            required=True,
            metavar="PREFIX[,PREFIX...]",
            help="beginnings of the file names",
        )
    add("--source-lang", required=True, help="end of the source files' names, before .gz")
    add("--target-lang", required=True, help="end of the target files' names, before .gz")
    add("--out", type=Path, required=True, help="folder for all that is made")
    add_vocabulary_options(parser, SentencePieceOptions().vocab_size)
    limits = CleaningOptions()
    add = parser.add_argument_group("training pairs that are dropped").add_argument
    add("--max-words", type=positive, default=limits.max_words, help="on either side")
    add("--max-characters", type=positive, default=limits.max_characters, help="on either side")
    add(
        "--max-ratio",
        type=float,
        default=limits.max_ratio,
        help="longer to shorter side, in characters + 10",
    )
    add(
        "--keep-duplicates",
        action="store_true",
        help="keep repeated pairs, and pairs that are in the development or test text too",
    )
    add("--check-language", action="store_true", help="drop long lines of other languages")
    add = parser.add_argument_group("form of the text").add_argument
    add("--normalise-punctuation", action="store_true", help="as Moses does")
    add("--tokenise", action="store_true", help="as Moses does")
    add("--shards", type=positive, default=1, help="folders to share the training text among")
    return parser.parse_args(arguments)


def main(arguments: argparse.Namespace) -> None:
    """Prepare what the command line names."""
    languages = (arguments.source_lang, arguments.target_lang)
    if languages[0] == languages[1]:
        raise DataError(f"--source-lang and --target-lang are both {languages[0]!r}")
    cleaning = CleaningOptions(
        max_words=arguments.max_words,
        max_characters=arguments.max_characters,
        max_ratio=arguments.max_ratio,
        keep_duplicates=arguments.keep_duplicates,
        check_language=arguments.check_language,
        normalise_punctuation=arguments.normalise_punctuation,
        tokenise=arguments.tokenise,
    )
    data = ParallelData(arguments.train, arguments.valid, arguments.test, languages)
    vocabulary = vocabulary_options(arguments)
    recipe = Recipe(data.corpora(), languages, cleaning, vocabulary, arguments.shards)
    prepare(recipe, arguments.out, arguments.workers)


if __name__ == "__main__":
    sys.exit(run_program(main, parse_arguments()))
