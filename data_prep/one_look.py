"""Create a set that measures whether one example of a word is enough, from any parallel text.

    python -m data_prep.one_look --text domain/medical --training corpus/train \\
        --source-lang en --target-lang de --out one_look/medical

chooses words of the target language that the training text never has. Each is taught in ONE
sentence pair and asked for in up to three others:

    lessons.{en,de}      sentence pairs to teach; line N is lesson N - 1
    questions.{en,de}    sentences to translate, with their references
    asked.json           list of {"word", "source_word", "lesson", "question"}: the word that the
                     translation of a question should contain, the source word it belongs to,
                     both in lower case, and the numbers of lesson and question from 0
    other.{en,de}        sentence pairs with none of the words, to see what teaching damages

Without --training, the text itself is the one to train the translator on. Then the words are rare
words of it, and

    train_lines_left_out.txt    numbers, from 1, of all its lines that contain one of the words, or
                            are in other.{en,de}: to be left out of the training

The same text, options and seed give the same set. Words are found at spaces and punctuation.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from data_prep.core.files import aligned_writer, plain_name, read_with_progress
from data_prep.core.program import (
    DataError,
    HelpFormatter,
    add_out,
    comma_separated,
    run_program,
)
from data_prep.core.ranges import range_of
from data_prep.core.stages import Stage, Workspace
from data_prep.text.cleaning import Corpus, check_alignment
from data_prep.text.one_look import OneLook, OneLookOptions, choose, words_of
from data_prep.text.prefixes import extractions, is_document, pair_of
from data_prep.text.quality import normalise

logger = logging.getLogger(__name__)

LEFT_OUT = "train_lines_left_out.txt"
MEANINGS = {
    "words": "greatest number of words to teach",
    "questions": "greatest number of sentence pairs in which each word is asked for",
    "others": "greatest number of sentence pairs with none of the words",
    "min_letters": "least number of characters of a word",
    "max_pairs": "greatest number of sentence pairs of the text with the word",
    "max_words": "greatest number of words of a sentence",
    "min_dice": "least Dice coefficient of a word and its source word, from 0 to 1",
    "seed": "seed of the choice",
}


def read_pairs(pairs: Sequence[tuple[Path, Path]]) -> list[tuple[str, str]]:
    """Read aligned text, line by line.

    Raises:
        DataError: If it is empty, misaligned or not UTF-8.
    """
    check_alignment(Corpus("this", pairs))
    return [
        (normalise(source), normalise(target))
        for files in pairs
        for source, target in zip(*(read_with_progress(f, "reading") for f in files), strict=True)
    ]


def write_pairs(
    folder: Path, name: str, languages: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> None:
    """Write `NAME.{en,de}`."""
    with aligned_writer([folder / f"{name}.{language}" for language in languages]) as write:
        for pair in pairs:
            write(*pair)


def write_set(
    folder: Path, languages: Sequence[str], pairs: Sequence[tuple[str, str]], found: OneLook
) -> None:
    """Write lessons, questions, words asked for, and other pairs."""
    for name, places in (
        ("lessons", found.lessons()),
        ("questions", found.questions()),
        ("other", found.others),
    ):
        write_pairs(folder, name, languages, [pairs[place] for place in places])
    asked = json.dumps(found.as_data(), indent=1, ensure_ascii=False)
    (folder / "asked.json").write_text(asked + "\n", "utf-8")


def make(
    folder: Path,
    text: Sequence[tuple[Path, Path]],
    training: Sequence[tuple[Path, Path]],
    languages: Sequence[str],
    options: OneLookOptions,
) -> None:
    """Make a set in a folder.

    Raises:
        DataError: If no word of the text can be taught.
    """
    pairs = read_pairs(text)
    known = {
        word
        for _, target in training
        for line in read_with_progress(target, "reading")
        for word in words_of(normalise(line))
    }
    found = choose(pairs, known, options)
    if not found.asked:
        raise DataError(
            f"{text[0][1]}: no word of it can be taught and asked for; give more text, or try "
            "--max-pairs, --min-letters and --min-dice"
        )
    write_set(folder, languages, pairs, found)
    words = len(found.lessons())
    logger.info("%d words, asked for %d times; %d other pairs", words, len(found.asked),
                len(found.others))  # fmt: skip
    if not training:
        left_out = sorted({*found.having, *found.others})
        (folder / LEFT_OUT).write_text("".join(f"{place + 1}\n" for place in left_out), "utf-8")
        logger.info("%d of %d lines are to be left out of training", len(left_out), len(pairs))


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=HelpFormatter, usage="%(prog)s [options]"
    )
    add = parser.add_argument_group("text").add_argument
    prefixes = "PREFIX[,PREFIX...]"
    add(
        "--text",
        type=comma_separated,
        required=True,
        metavar=prefixes,
        help="text to choose from: prefixes of the files' names, or .tmx, .tsv or .csv files",
    )
    add(
        "--training",
        type=comma_separated,
        metavar=prefixes,
        help="text that the translator was trained on, named in the same way",
    )
    add("--source-lang", required=True, help="suffix of the source files' names, before .gz")
    add("--target-lang", required=True, help="suffix of the target files' names, before .gz")
    add_out(parser)
    add = parser.add_argument_group("choice").add_argument
    defaults = OneLookOptions()
    for name, meaning in MEANINGS.items():
        option = f"--{name.replace('_', '-')}"
        add(option, type=range_of(defaults, name), default=getattr(defaults, name), help=meaning)
    return parser.parse_args(arguments)


def main(arguments: argparse.Namespace) -> None:
    """Create the set."""
    languages = (arguments.source_lang, arguments.target_lang)
    for option, language in zip(("--source-lang", "--target-lang"), languages, strict=True):
        plain_name(language, option)
    options = OneLookOptions(**{f.name: getattr(arguments, f.name) for f in fields(OneLookOptions)})
    named_training = arguments.training or []
    own = not named_training
    if own and (len(arguments.text) > 1 or is_document(arguments.text[0])):
        raise DataError(
            f"--text {','.join(arguments.text)}: lines to be left out of training are numbered in "
            "one pair of files; give the beginning of their names, or name --training"
        )
    prefixes = [*arguments.text, *named_training]
    text, training = (
        [pair_of(prefix, languages, arguments.out) for prefix in part]
        for part in (arguments.text, named_training)
    )
    documents = extractions(prefixes, languages)
    kinds = ("lessons", "questions", "other")
    outputs = [f"{kind}.{language}" for kind in kinds for language in languages]
    with Workspace(arguments.out) as workspace:
        for document in documents:
            workspace.run(document)
        workspace.run(
            Stage(
                "one look",
                {"languages": languages, "texts": len(text), **asdict(options)},
                [path for pair in (*text, *training) for path in pair],
                [*outputs, "asked.json", *([LEFT_OUT] if own else [])],
                lambda folder: make(folder, text, training, languages, options),
            )
        )


if __name__ == "__main__":
    sys.exit(run_program(main, parse_arguments()))
