"""Prepare Multi30k (Elliott et al. 2016, task 1, English to German) for fairseq.

    python -m data_prep.multi30k --out multi30k

downloads the original files to `multi30k/download/` and prepares them like `data_prep.parallel`;
`--source DIR` reads existing files instead. There are two variants:

    tok   lowercased, normalised and tokenised by the authors, as in published BLEU
    raw   as the captions were written

All 29,000 training pairs are kept, as in published work. The development text is `val`, the test
text `test_2016_flickr`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from data_prep.core.download import Downloads
from data_prep.core.files import count_lines
from data_prep.core.program import (
    DataError,
    HelpFormatter,
    add_out,
    add_source,
    run_program,
)
from data_prep.parallel import (
    ParallelData,
    add_vocabulary_options,
    vocabulary_options,
)
from data_prep.text.cleaning import check_alignment
from data_prep.text.quality import CleaningOptions
from data_prep.text.recipe import Recipe, prepare

URL = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/"
LANGUAGES = ("en", "de")
LINES = {"train": 29_000, "val": 1_014, "test_2016_flickr": 1_000}
# Names of the files of each variant in the original repository.
ORIGINAL_NAME = {"tok": "tok/{part}.lc.norm.tok.{language}", "raw": "raw/{part}.{language}.gz"}
SUFFIXES = {"tok": (".lc.norm.tok", ""), "raw": ("",)}
VOCAB_SIZE = 6000
# Nothing is dropped: scores are comparable only after training on the same pairs.
KEEP_ALL = CleaningOptions(
    max_words=sys.maxsize,
    max_characters=sys.maxsize,
    max_ratio=sys.maxsize,
    keep_duplicates=True,
    check_encoding=False,
)


def locate(source: Path, variant: str) -> dict[str, str]:
    """Find the files of a variant under a folder.

    Args:
        source: A folder with `tok/` or `raw/` in it, or a copy of the original repository.
        variant: `tok` or `raw`.

    Returns:
        The prefix of the two files' names for `train`, `val` and `test_2016_flickr`.

    Raises:
        DataError: If they are missing.
    """
    inside = [source / "data" / "task1" / variant, source / variant]
    places = [(folder, suffix) for folder in inside for suffix in SUFFIXES[variant]]
    # Without a folder for the variant, only the suffix distinguishes tokenised from raw text.
    for folder, suffix in [*places, (source, SUFFIXES[variant][0])]:
        prefixes = {part: str(folder / f"{part}{suffix}") for part in LINES}
        if any(Path(f"{prefixes['train']}.en{packed}").exists() for packed in ("", ".gz")):
            return prefixes
    expected = source / ORIGINAL_NAME[variant].format(part="train", language="en")
    raise DataError(f"{expected}: no such file (plain or .gz); give the folder with {variant}/")


def verify(data: ParallelData) -> None:
    """Check that the files have the numbers of lines of Multi30k.

    Raises:
        DataError: If they do not.
    """
    for corpus, (part, lines) in zip(data.corpora(), LINES.items(), strict=True):
        found = check_alignment(corpus)
        if found != lines:
            raise DataError(
                f"{corpus.files[0]}: {found} lines, but Multi30k's {part} has {lines}; "
                "the file is not the original or is cut short: fetch it again"
            )


def fetch(folder: Path, variant: str, url: str = URL) -> None:
    """Download a variant's original files, each once.

    Args:
        folder: Destination of the files, laid out as in the original repository.
        variant: `tok` or `raw`.
        url: Location of `tok/` and `raw/`.

    Raises:
        DataError: If a file cannot be downloaded or differs from its recorded checksum.
    """
    downloads = Downloads(folder)
    for part, lines in LINES.items():

        def check(path: Path, lines: int = lines) -> None:
            if (found := count_lines(path)) != lines:  # an error page, for instance
                raise DataError(f"{path.name}: {found} lines instead of {lines}: not Multi30k")

        for language in LANGUAGES:
            name = ORIGINAL_NAME[variant].format(part=part, language=language)
            downloads.get(url + name, name, check)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    add_out(parser)
    add_source(parser, "files")
    parser.add_argument(
        "--variant", choices=sorted(SUFFIXES), default="tok", help="form of the text, see above"
    )
    parser.add_argument("--url", default=URL, help="address to download from")
    add_vocabulary_options(parser, VOCAB_SIZE)
    return parser.parse_args(arguments)


def main(arguments: argparse.Namespace) -> None:
    """Prepare Multi30k."""
    source = arguments.source
    if source is None:
        source = arguments.out / "download"
        fetch(source, arguments.variant, arguments.url)
    prefixes = locate(source, arguments.variant)
    train, valid, test = ([prefix] for prefix in prefixes.values())
    data = ParallelData(train, valid, test, LANGUAGES, arguments.out)
    verify(data)
    recipe = Recipe(data.corpora(), LANGUAGES, KEEP_ALL, vocabulary_options(arguments))
    prepare(recipe, arguments.out, arguments.workers)


if __name__ == "__main__":
    sys.exit(run_program(main, parse_arguments()))
