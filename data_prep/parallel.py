"""Prepare line-aligned parallel text for fairseq: clean, learn a vocabulary, encode, binarise.

    python -m data_prep.parallel --train corpus/train --valid corpus/dev --test corpus/test \\
        --source-lang en --target-lang de --out prepared --vocab-size 8000

reads `corpus/train.en`, `corpus/train.de` and so on (plain or `.gz`, UTF-8) and writes

    prepared/text/{train,valid,test}.{en,de}     cleaned text
    prepared/raw/{valid,test}.{en,de}            the original text; references for BLEU
    prepared/report.json, report.txt             what was dropped and why, with examples
    prepared/spm.model                           the joint sentencepiece model
    prepared/pieces/{train,valid,test}.{en,de}   the text in pieces
    prepared/data-bin/                           for fairseq-train; dict.en.txt = dict.de.txt

Instead of a prefix, you can give a document with both languages (`terms.tmx`, `.tsv`, `.csv`, with
or without a header that names them). Further test sets become `test1`, `test2`, ...

You can stop the program at any time: the same command continues with the first unfinished stage,
and repeats what depends on changed input or options.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.core.files import plain_name
from data_prep.core.program import (
    DataError,
    HelpFormatter,
    add_out,
    comma_separated,
    run_program,
)
from data_prep.core.ranges import SHARDS, WORKERS, range_of
from data_prep.core.stages import Stage, Workspace
from data_prep.text.cleaning import Corpus
from data_prep.text.prefixes import extractions, pair_of
from data_prep.text.quality import CleaningOptions
from data_prep.text.recipe import Recipe, readable_by_fairseq, run
from data_prep.text.sentencepiece_model import SentencePieceOptions


@dataclass(frozen=True)
class ParallelData:
    """The location of the text.

    Attributes:
        train, valid, test: For each part, the common prefixes of its files' names, and names of
            documents with both languages.
        languages: Of source and target.
        out: Folder for all output; the contents of documents are written there.
    """

    train: Sequence[str]
    valid: Sequence[str]
    test: Sequence[str]
    languages: tuple[str, str]
    out: Path = Path()

    def corpora(self) -> list[Corpus]:
        """Return train, valid, test, test1, ... with the files found.

        Raises:
            DataError: If a file is missing.
        """
        parts = [("train", self.train), ("valid", self.valid)]
        parts += [(f"test{n or ''}", [prefix]) for n, prefix in enumerate(self.test)]
        return [
            Corpus(name, [pair_of(p, self.languages, self.out) for p in prefixes], home=self.out)
            for name, prefixes in parts
        ]

    def extractions(self) -> list[Stage]:
        """Return the stages that extract plain text from documents."""
        prefixes = [*self.train, *self.valid, *self.test]
        return extractions(prefixes, self.languages)


def add_vocabulary_options(parser: argparse.ArgumentParser, vocab_size: int) -> None:
    """Add the options of the vocabulary, and --workers, to a command line."""
    default = SentencePieceOptions()
    add = parser.add_argument_group("vocabulary").add_argument
    add(
        "--vocab-size",
        type=range_of(default, "vocab_size"),
        default=vocab_size,
        help="number of word pieces to learn, for both languages together",
    )
    add(
        "--byte-fallback",
        action=argparse.BooleanOptionalAction,
        default=default.byte_fallback,
        help="add 256 pieces, one for each byte, to spell characters that are not in training",
    )
    add(
        "--model-type",
        choices=["bpe", "unigram"],
        default=default.model_type,
        help="method by which sentencepiece learns the pieces",
    )
    add(
        "--normalization",
        choices=["identity", "nmt_nfkc"],
        default=default.normalization,
        help="normalisation that sentencepiece applies after Unicode NFC",
    )
    add(
        "--character-coverage",
        type=range_of(default, "character_coverage"),
        default=default.character_coverage,
        help="share of all characters that become pieces; 0.9995 for Chinese or Japanese",
    )
    add(
        "--seed",
        type=range_of(default, "seed"),
        default=default.seed,
        help="seed of the sample from a very large corpus",
    )
    add("--workers", type=WORKERS, default=1, help="number of processes; the result is the same")


def vocabulary_options(arguments: argparse.Namespace) -> SentencePieceOptions:
    """Return the options that `add_vocabulary_options` added."""
    return SentencePieceOptions(
        vocab_size=arguments.vocab_size,
        model_type=arguments.model_type,
        normalization=arguments.normalization,
        character_coverage=arguments.character_coverage,
        seed=arguments.seed,
        byte_fallback=arguments.byte_fallback,
    )


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=HelpFormatter, usage="%(prog)s [options]"
    )
    add = parser.add_argument_group("text").add_argument
    meanings = {"train": "training text", "valid": "development text", "test": "test texts"}
    for part, meaning in meanings.items():
        add(
            f"--{part}",
            type=comma_separated,
            required=True,
            metavar="PREFIX[,PREFIX...]",
            help=f"{meaning}: prefixes of the files' names, or .tmx, .tsv or .csv files",
        )
    add("--source-lang", required=True, help="suffix of the source files' names, before .gz")
    add("--target-lang", required=True, help="suffix of the target files' names, before .gz")
    add_out(parser)
    add_vocabulary_options(parser, SentencePieceOptions().vocab_size)
    limits = CleaningOptions()
    add = parser.add_argument_group("training pairs that are dropped").add_argument
    for name, meaning in {
        "max_words": "greatest number of words on either side",
        "max_characters": "greatest number of characters on either side",
        "max_ratio": "greatest ratio of the longer to the shorter side, in characters + 10",
    }.items():
        option = f"--{name.replace('_', '-')}"
        add(option, type=range_of(limits, name), default=getattr(limits, name), help=meaning)
    add(
        "--keep-duplicates",
        action="store_true",
        help="keep repeated pairs, and pairs that are also in the development or test text",
    )
    add(
        "--check-language",
        action="store_true",
        help="drop pairs with a long line that is certainly in another language",
    )
    add = parser.add_argument_group("form of the text").add_argument
    add("--normalise-punctuation", action="store_true", help="normalise punctuation as Moses does")
    add("--tokenise", action="store_true", help="separate words and punctuation as Moses does")
    add(
        "--shards",
        type=SHARDS,
        default=1,
        help="number of folders for the training text",
    )
    return parser.parse_args(arguments)


def main(arguments: argparse.Namespace) -> None:
    """Prepare the text."""
    languages = (arguments.source_lang, arguments.target_lang)
    if languages[0] == languages[1]:
        raise DataError(f"--source-lang and --target-lang are both {languages[0]!r}")
    for option, language in zip(("--source-lang", "--target-lang"), languages, strict=True):
        plain_name(language, option)
    cleaning = CleaningOptions(
        max_words=arguments.max_words,
        max_characters=arguments.max_characters,
        max_ratio=arguments.max_ratio,
        keep_duplicates=arguments.keep_duplicates,
        check_language=arguments.check_language,
        normalise_punctuation=arguments.normalise_punctuation,
        tokenise=arguments.tokenise,
    )
    out = readable_by_fairseq(arguments.out)
    data = ParallelData(arguments.train, arguments.valid, arguments.test, languages, out)
    vocabulary = vocabulary_options(arguments)
    recipe = Recipe(data.corpora(), languages, cleaning, vocabulary, arguments.shards)
    documents = data.extractions()
    with Workspace(out) as workspace:
        for document in documents:
            workspace.run(document)
        run(recipe, workspace, arguments.workers)


if __name__ == "__main__":
    sys.exit(run_program(main, parse_arguments()))
