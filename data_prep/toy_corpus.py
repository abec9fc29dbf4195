"""Makes a small parallel corpus with grammar and a long tail of names; needs no download.

    python -m data_prep.toy_corpus --out toy

writes, the same for the same seed and in seconds,

    toy/raw/{train,valid,test}.{xx,yy}   English-like sentences and their translations
    toy/raw/{teach,recall}.{xx,yy}       for names that occur nowhere above: a sentence from which
                                         to learn each, and another one in which to use it
    toy/held_out_pairs.tsv               the same, with the names, line by line
    toy/lexicon.tsv                      every name and ordinary word, its translation, and how
                                         often the translation occurs in the training text
    toy/data-bin/                        for fairseq-train; teach is `test1`, recall is `test2`

Names are drawn by Zipf's law: some of the thousands occur hundreds of times, most once or never.
Half of the test sentences are drawn like the training text; the other half is shared out evenly
among names by how often they occur in training: never, once, 2-5, 6-20, 21-100 and more times,
with only frequent names beside them.

Tokens are words: there is no sentencepiece model that could spell a name. All forms in the
lexicon are in the dictionaries, with count 0 if training lacks them, so that a name can be
taught after training. The language is described in `data_prep.toy.language`.
"""

import argparse
import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import accumulate
from pathlib import Path
from random import Random

from tqdm import tqdm

from data_prep.core.program import DataError, HelpFormatter, run_program
from data_prep.core.ranges import SEEDS, WORKERS, Range, range_of, ranged
from data_prep.core.stages import Stage, Workspace
from data_prep.text.binarize import count_tokens, run_fairseq_preprocess, write_dictionary
from data_prep.toy import language as toy_language
from data_prep.toy import lexicon as toy_lexicon
from data_prep.toy import words as toy_words
from data_prep.toy.language import Clause, Speaker, english, names_in, yy
from data_prep.toy.lexicon import NAMES, Lexicon, Name, Noun, Verb

logger = logging.getLogger(__name__)

LANGUAGES = ("xx", "yy")
PARTS = ("train", "valid", "test", "teach", "recall")
# Lowest and highest number of occurrences in the training text.
BUCKETS = ((0, 0), (1, 1), (2, 5), (6, 20), (21, 100), (101, sys.maxsize))
MOST_SENTENCES = 10_000_000  # of each part: they are drawn before any is written
LEAST_NAMES, MOST_NAMES = 10, 50_000  # so that there are some of each kind, and all differ
TRIES = 10_000  # draws of a sentence that is new, before the language is called too small
FAMILIAR = 20  # of each kind: the most frequent names, which alone stand beside a tested one
CODE = [
    Path(__file__),
    *(Path(str(module.__file__)) for module in (toy_language, toy_lexicon, toy_words)),
]

DrawName = Callable[[str], Name]


@dataclass(frozen=True)
class Sizes:
    """How large the language is, and how many sentences of it are made."""

    train: int = ranged(12_000, 1, MOST_SENTENCES)
    valid: int = ranged(500, 1, MOST_SENTENCES)
    test: int = ranged(1_000, 1, MOST_SENTENCES)
    held_out: int = ranged(100, 1, MOST_NAMES)
    """Names to be taught."""
    words: int | None = None
    """Ordinary words of each kind; None for all."""
    names: int = ranged(NAMES, LEAST_NAMES, MOST_NAMES)
    """Of all kinds together."""

    def lexicon(self, seed: int) -> Lexicon:
        """Return the words of the language."""
        return Lexicon(seed, self.words, self.names)


class Writer:
    """Draws sentences that are all different, with names as often as Zipf's law wants.

    Args:
        seed: Decides everything.
        lexicon: The words.
    """

    def __init__(self, seed: int, lexicon: Lexicon) -> None:
        self.lexicon = lexicon
        self.random = Random(f"sentences {seed}")
        self.speaker = Speaker(self.lexicon, self.random)
        self.seen: set[str] = set()

    def zipf(self, allowed: Callable[[Name], bool] = lambda name: True) -> DrawName:
        """Return a function that draws names: the one of rank r with a weight of 1 / r."""
        pools = {}
        for kind, names in self.lexicon.names.items():
            ranked = [(name, 1 / rank) for rank, name in enumerate(names, start=1) if allowed(name)]
            pools[kind] = [name for name, _ in ranked], list(accumulate(w for _, w in ranked))
        return lambda kind: self.random.choices(pools[kind][0], cum_weights=pools[kind][1])[0]

    def sentence(self, draw_name: DrawName, about: Name | None = None) -> Clause:
        """Draw a sentence that was not drawn before.

        Args:
            draw_name: Where its names come from.
            about: A name that it is to contain.

        Raises:
            DataError: If the language seems to have no further sentence.
        """
        for _ in range(TRIES):
            waiting = [about] if about else []

            def draw(kind: str, waiting: list[Name] = waiting) -> Name:
                return waiting.pop() if waiting and waiting[0].kind == kind else draw_name(kind)

            clause = self.speaker.sentence(draw)
            text = " ".join(english(clause))
            if text not in self.seen and (about is None or about in names_in(clause)):
                self.seen.add(text)
                return clause
        raise DataError(
            f"after {len(self.seen):,} sentences, {TRIES:,} more draws bring none that is new; ask "
            "for fewer, or for more --words and --names"
        )


def make_corpus(writer: Writer, sizes: Sizes) -> tuple[dict[str, list[Clause]], list[Name]]:
    """Draw all sentences.

    Returns:
        The sentences of each part, and the held-out names, in the order of `teach` and `recall`.

    Raises:
        DataError: If there are not enough names that training lacks.
    """
    anyone = writer.zipf()
    bar = tqdm(range(sizes.train), "drawing sentences", unit=" sentences", disable=None)
    train = [writer.sentence(anyone) for _ in bar]
    counts = Counter(name for clause in train for name in names_in(clause))
    familiar = {name for names in writer.lexicon.names.values() for name in names[:FAMILIAR]}
    names = [name for name in writer.lexicon.all_names() if name not in familiar]
    unseen = [name for name in names if counts[name] == 0]
    if len(unseen) < sizes.held_out:
        raise DataError(
            f"--held-out {sizes.held_out}: only {len(unseen)} names never occur in training; "
            "ask for fewer, or for a smaller --train"
        )
    held_out = writer.random.sample(unseen, sizes.held_out)
    hidden = set(held_out)
    others = writer.zipf(lambda name: name not in hidden)
    frequent = writer.zipf(lambda name: name in familiar)
    tested = names_by_bucket(writer, counts, hidden, sizes.test // 2)
    corpus = {
        "train": train,
        "valid": [writer.sentence(others) for _ in range(sizes.valid)],
        "test": [writer.sentence(others) for _ in range(sizes.test - len(tested))],
        "teach": [writer.sentence(frequent, name) for name in held_out],
        "recall": [writer.sentence(frequent, name) for name in held_out],
    }
    corpus["test"] += [writer.sentence(frequent, name) for name in tested]
    return corpus, held_out


def names_by_bucket(
    writer: Writer, counts: Counter[Name], excluded: set[Name], number: int
) -> list[Name]:
    """Choose names to test, as many of each bucket of frequencies as of any other."""
    names = [name for name in writer.lexicon.all_names() if name not in excluded]
    buckets = [[n for n in names if low <= counts[n] <= high] for low, high in BUCKETS]
    buckets = [bucket for bucket in buckets if bucket]
    for bucket in buckets:
        writer.random.shuffle(bucket)
    turns = (divmod(turn, len(buckets)) for turn in range(number))
    return [buckets[which][turn % len(buckets[which])] for turn, which in turns]


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
    """Write data-bin/, with dictionaries that hold every word of the language."""
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
    parser.add_argument("--out", type=Path, required=True, help="folder for all that is made")
    parser.add_argument("--seed", type=SEEDS, default=1, help="another seed, another language")
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
        "--words", type=Range(1), help="ordinary words of each kind (all: up to 44)"
    )
    parser.add_argument(
        "--binarize", action=argparse.BooleanOptionalAction, default=True, help="make data-bin/ too"
    )
    parser.add_argument("--workers", type=WORKERS, default=1, help="processes")
    return parser.parse_args(arguments)


def main(arguments: argparse.Namespace) -> None:
    """Make the corpus that the command line describes."""
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
