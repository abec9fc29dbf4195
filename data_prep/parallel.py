"""Prepares line-aligned parallel text for fairseq: clean, learn a vocabulary, encode, binarise.

    python -m data_prep.parallel --train corpus/train --valid corpus/dev --test corpus/test \\
        --source-lang en --target-lang de --out prepared --vocab-size 8000

reads `corpus/train.en`, `corpus/train.de` and so on (plain or `.gz`, UTF-8) and makes

    prepared/text/{train,valid,test}.{en,de}     cleaned text; test.de is the reference for BLEU
    prepared/report.json, report.txt             what was dropped and why, with examples
    prepared/spm.model                           the joint sentencepiece model
    prepared/pieces/{train,valid,test}.{en,de}   the text in pieces
    prepared/data-bin/                           for fairseq-train; dict.en.txt = dict.de.txt

Further test sets become `test1`, `test2`, ... The work may be killed at any time: the same
command goes on with the first stage that is not finished, and does again what depends on
changed input or options.
"""

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from data_prep.binarize import count_tokens, run_fairseq_preprocess, write_dictionary
from data_prep.cleaning import Cleaner, CleaningOptions, Corpus
from data_prep.files import find_text
from data_prep.program import DataError, HelpFormatter, comma_separated, positive, run_program
from data_prep.sentencepiece_model import (
    SentencePieceOptions,
    encode_file,
    load_model,
    piece_names,
    train_model,
)
from data_prep.stages import Stage, Workspace

logger = logging.getLogger(__name__)


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


def prepare(
    data: ParallelData,
    out: Path,
    cleaning: CleaningOptions,
    vocabulary: SentencePieceOptions,
    workers: int = 1,
) -> None:
    """Prepare parallel text for fairseq, skipping what is done already.

    Args:
        data: The text.
        out: Folder for all that is made; see the head of this file.
        cleaning: What to keep of the training text.
        vocabulary: How to learn the sentencepiece model.
        workers: Processes for encoding and binarising. Changes no result.

    Raises:
        DataError: If the input is missing, misaligned, damaged, empty or not UTF-8.
    """
    corpora = data.corpora()
    with Workspace(out) as workspace:
        for stage in stages(data, corpora, out, cleaning, vocabulary, workers):
            workspace.run(stage)
    logger.info("ready: %s", out / "data-bin")


def stages(
    data: ParallelData,
    corpora: Sequence[Corpus],
    out: Path,
    cleaning: CleaningOptions,
    vocabulary: SentencePieceOptions,
    workers: int,
) -> Iterator[Stage]:
    """Yield the stages of the preparation, each when those before it are made."""
    source, target = data.languages
    names = [corpus.name for corpus in corpora]
    text, pieces, model_path = out / "text", out / "pieces", out / "spm.model"
    files = [f"{name}.{language}" for name in names for language in (source, target)]

    def clean(folder: Path) -> None:
        (folder / "text").mkdir()
        cleaner = Cleaner(cleaning, data.languages)
        for corpus in corpora[1:]:
            cleaner.write_evaluation(corpus, folder / "text")
        cleaner.write_training(corpora[0], folder / "text")
        write_report(cleaner, folder, names)

    def learn(folder: Path) -> None:
        train_model([text / files[0], text / files[1]], folder / "spm.model", vocabulary)

    def encode(folder: Path) -> None:
        (folder / "pieces").mkdir()
        model = load_model(model_path)
        for file in files:
            encode_file(model, text / file, folder / "pieces" / file, workers)

    def binarise(folder: Path) -> None:
        dictionary = folder / "dict.txt"
        counts = count_tokens([pieces / files[0], pieces / files[1]])
        write_dictionary(dictionary, counts, piece_names(load_model(model_path)))
        train, valid, *tests = (pieces / name for name in names)
        run_fairseq_preprocess(
            folder / "data-bin",
            data.languages,
            (dictionary, dictionary),
            train,
            valid,
            tests,
            workers,
        )

    sources = [path for corpus in corpora for path in corpus.files]
    layout = [[corpus.name, len(corpus.pairs), *data.languages] for corpus in corpora]
    yield Stage(
        "clean",
        {"layout": layout, **asdict(cleaning)},
        sources,
        ["text", "report.json", "report.txt"],
        clean,
    )
    yield Stage(
        "sentencepiece",
        {"sentencepiece": version("sentencepiece"), **asdict(vocabulary)},
        [text / files[0], text / files[1]],
        ["spm.model"],
        learn,
    )
    texts = [text / file for file in files]
    yield Stage("encode", {"files": files}, [model_path, *texts], ["pieces"], encode)
    encoded = [pieces / file for file in files]
    yield Stage("binarise", {"files": files}, [model_path, *encoded], ["data-bin"], binarise)


def write_report(cleaner: Cleaner, folder: Path, names: Sequence[str]) -> None:
    """Write what cleaning found as report.json and report.txt, and log the latter."""
    reports = {name: cleaner.reports[name] for name in names}
    as_data = {name: report.as_dict() for name, report in reports.items()}
    as_json = json.dumps(as_data, indent=1, ensure_ascii=False)
    (folder / "report.json").write_text(as_json + "\n", "utf-8")
    lines = [line for name, report in reports.items() for line in report.summary(name)]
    (folder / "report.txt").write_text("\n".join(lines) + "\n", "utf-8")
    for line in lines:
        logger.info("%s", line)


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
    )
    data = ParallelData(arguments.train, arguments.valid, arguments.test, languages)
    prepare(data, arguments.out, cleaning, vocabulary_options(arguments), arguments.workers)


if __name__ == "__main__":
    sys.exit(run_program(main, parse_arguments()))
