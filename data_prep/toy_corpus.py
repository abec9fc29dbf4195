"""Create a small parallel corpus with grammar and a long tail of names, without downloads.

    python -m data_prep.toy_corpus --out toy

writes the following, within seconds and always the same for the same seed:

    toy/raw/{train,valid,test}.{xx,yy}   English-like sentences and their translations
    toy/raw/{teach,recall}.{xx,yy}       for names that occur nowhere above: a sentence from which
                                     to learn each, and another one in which to use it
    toy/held_out_pairs.tsv               the same, with the names, line by line
    toy/lexicon.tsv                      every name and ordinary word, its translation, and how
                                         often the translation occurs in the training text
    toy/data-bin/                        for fairseq-train; teach is `test1`, recall is `test2`

Names are drawn by Zipf's law: some of the thousands occur hundreds of times, most once or never.
Half of the test sentences are drawn like the training text. The other half is divided evenly among
names by their occurrences in training: never, once, 2-5, 6-20, 21-100 and more times, with only
frequent names beside them.

Tokens are words, because no sentencepiece model could spell a name. All forms in the lexicon are in
the dictionaries, with count 0 if training lacks them, so that a name can be taught after training.
The language is described in `data_prep.toy.language`.
"""

import argparse
import logging
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from data_prep.core.program import (
    HelpFormatter,
    add_out,
    run_program,
)
from data_prep.core.ranges import SEEDS, WORKERS, Range, range_of
from data_prep.core.stages import Stage, Workspace
from data_prep.text.binarize import count_tokens, run_fairseq_preprocess, write_dictionary
from data_prep.toy.corpus import Sizes, Writer, make_corpus
from data_prep.toy.language import english, yy
from data_prep.toy.lexicon import Lexicon, Noun, Verb

logger = logging.getLogger(__name__)

LANGUAGES = ("xx", "yy")
PARTS = ("train", "valid", "test", "teach", "recall")
# Everything that determines the corpus, except the options.
CODE = [Path(__file__), *sorted(Path(__file__).with_name("toy").glob("*.py"))]


def write_corpus(folder: Path, seed: int, sizes: Sizes) -> None:
    """Write raw/, held_out_pairs.tsv and lexicon.tsv."""
    writer = Writer(seed, sizes.lexicon(seed))
    corpus, held_out = make_corpus(writer, sizes)
    (folder / "raw").mkdir()
    texts = {}
    for part, clauses in corpus.items():
        sides = [english(clause) for clause in clauses], [yy(clause) for clause in clauses]
        for language, side in zip(LANGUAGES, sides, strict=True):
            texts[part, language] = [" ".join([*words, "."]) for words in side]
            write_lines(folder / "raw" / f"{part}.{language}", texts[part, language])
    columns = [texts[part, language] for part in ("teach", "recall") for language in LANGUAGES]
    header = ["name_xx", "name_yy", "teach_xx", "teach_yy", "recall_xx", "recall_yy"]
    rows = [
        (name.source, name.target, *sentences)
        for name, *sentences in zip(held_out, *columns, strict=True)
    ]
    write_table(folder / "held_out_pairs.tsv", header, rows)
    counts = Counter(word for line in texts["train", "yy"] for word in line.split())
    entries = [
        (source, target, kind, str(counts[target]))
        for source, target, kind in lexicon_entries(writer.lexicon)
    ]
    write_table(folder / "lexicon.tsv", ["xx", "yy", "kind", "train_count"], entries)


def lexicon_entries(lexicon: Lexicon) -> Iterable[tuple[str, str, str]]:
    """Yield (source, target, kind) of all names, and of ordinary words in their basic form."""
    for name in lexicon.all_names():
        yield name.source, name.target, name.kind
    for entry in lexicon.entries():
        if isinstance(entry, Noun):
            yield entry.singular, entry.forms()[0], "noun"
        elif isinstance(entry, Verb):
            yield entry.third, entry.forms()[0], "verb"
        else:
            yield entry.english, entry.forms()[0], "adjective"


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write lines of text."""
    path.write_text("".join(line + "\n" for line in lines), "utf-8")


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table with tabs between its columns."""
    write_lines(path, ("\t".join(row) for row in (header, *rows)))


def binarise(folder: Path, raw: Path, lexicon: Lexicon, workers: int) -> None:
    """Write data-bin/, with dictionaries that contain every word of the language."""
    words = (lexicon.source_words(), lexicon.target_words())
    dictionaries = (folder / "dict.xx.txt", folder / "dict.yy.txt")
    for language, known, path in zip(LANGUAGES, words, dictionaries, strict=True):
        write_dictionary(path, count_tokens([raw / f"train.{language}"]), known)
    train, valid, *tests = (raw / part for part in PARTS)
    run_fairseq_preprocess(
        folder / "data-bin", LANGUAGES, dictionaries, train, valid, tests, workers
    )


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    sizes = Sizes()
    add_out(parser)
    parser.add_argument(
        "--seed", type=SEEDS, default=1, help="seed of the corpus; each seed gives another language"
    )
    for name, meaning in {
        "train": "training sentences",
        "valid": "development sentences",
        "test": "test sentences",
        "held_out": "names to teach",
        "names": "names of all kinds together",
    }.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=range_of(sizes, name),
            default=getattr(sizes, name),
            help=meaning,
        )
    parser.add_argument(
        "--words",
        type=Range(1),
        help="number of ordinary words of each kind; by default all, up to 44",
    )
    parser.add_argument(
        "--binarize",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also make data-bin/",
    )
    parser.add_argument(
        "--workers", type=WORKERS, default=1, help="number of processes; the result is the same"
    )
    return parser.parse_args(arguments)


def main(arguments: argparse.Namespace) -> None:
    """Create the corpus."""
    out, seed = arguments.out, arguments.seed
    sizes = Sizes(**{field.name: getattr(arguments, field.name) for field in fields(Sizes)})
    raw = out / "raw"
    with Workspace(out) as workspace:
        workspace.run(
            Stage(
                "generate",
                {"seed": seed, **asdict(sizes)},
                CODE,
                ["raw", "lexicon.tsv", "held_out_pairs.tsv"],
                lambda folder: write_corpus(folder, seed, sizes),
            )
        )
        if arguments.binarize:
            texts = [raw / f"{part}.{language}" for part in PARTS for language in LANGUAGES]
            workspace.run(
                Stage(
                    "binarise",
                    {"seed": seed, "words": sizes.words, "names": sizes.names},
                    [*CODE, *texts],
                    ["data-bin"],
                    lambda folder: binarise(folder, raw, sizes.lexicon(seed), arguments.workers),
                )
            )
    logger.info("ready: %s", out)


if __name__ == "__main__":
    sys.exit(run_program(main, parse_arguments()))
