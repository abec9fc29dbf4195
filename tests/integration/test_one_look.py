"""One example is enough: a tiny translator is taught names of several pieces, and uses them all.

It translates an invented language word by word. A name is a string of syllables, and nothing but a
lesson tells which syllables translate it. Its training has many names, so that it learns where to
look, but none of those that are taught.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.programs import fairseq, succeeded, verb
from tests.tiny_training import PLUGINS, made_once

WORDS = [(f"w{i}", f"W{i}") for i in range(16)]
SYLLABLES = ["ba", "ce", "di", "fo", "gu", "ha", "ki", "lo", "mu", "ne", "pa", "ri", "so", "tu"]
NAMES, SENTENCES = 10, {"train": 2000, "valid": 30}
UPDATES = 600
TASK = ["--user-dir", PLUGINS, "--task", "translation_memory", "-s", "xx", "-t", "yy"]

Word = tuple[str, str]  # its pieces in both languages


def name(draw: random.Random) -> Word:
    """Return a name, and a translation with nothing in common with it."""
    one, other = (draw.choices(SYLLABLES, k=draw.randint(3, 4)) for _ in range(2))
    return "@@ ".join(one), "@@ ".join(other).upper()


def with_names(draw: random.Random, *names: Word, most: int = 4) -> list[Word]:
    """Draw a sentence of three words or more, with names in the place of some."""
    words = draw.sample(WORDS, draw.randint(3, most))
    for place, one in zip(draw.sample(range(len(words)), len(names)), names, strict=True):
        words[place] = one
    return words


def write(prefix: Path, sentences: list[list[Word]]) -> None:
    for side, language in enumerate(("xx", "yy")):
        lines = (" ".join(word[side] for word in sentence) for sentence in sentences)
        prefix.with_suffix(f".{language}").write_text("".join(f"{line}\n" for line in lines))


@dataclass(frozen=True)
class Taught:
    """A translator before and after ten lessons."""

    data: Path
    before: Path
    after: Path
    names: list[Word]

    def translate(self, checkpoint: Path, split: str) -> list[list[str]]:
        """Return the words of the best translation of each sentence, in order."""
        told = succeeded(fairseq(
            "generate", self.data, *TASK, "--path", checkpoint, "--gen-subset", split,
            "--beam", 2, "--cpu", "--batch-size", 100, "--required-batch-size-multiple", 1,
        ))  # fmt: skip
        lines = [line.split("\t") for line in told.splitlines() if line.startswith("H-")]
        lines.sort(key=lambda fields: int(fields[0].removeprefix("H-")))
        return [fields[2].replace("@@ ", "").split() for fields in lines]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Taught:
    draw = random.Random(1)

    def drawn(count: int) -> list[list[Word]]:
        return [
            with_names(draw, *(name(draw) for _ in range(draw.randint(0, 2))), most=6)
            for _ in range(count)
        ]

    text = {split: drawn(count) for split, count in SENTENCES.items()}
    names = [name(draw) for _ in range(NAMES)]
    text["test"] = [with_names(draw, one) for one in names for _ in range(2)]
    text["test1"] = [with_names(draw, one) for one in names]
    text["test2"] = [with_names(draw) for _ in range(30)]

    def make(folder: Path) -> None:
        for split, sentences in text.items():
            write(folder / split, sentences)
        tests = ",".join(str(folder / split) for split in ("test", "test1", "test2"))
        succeeded(fairseq(
            "preprocess", "-s", "xx", "-t", "yy", "--joined-dictionary", "--destdir",
            folder / "data", "--trainpref", folder / "train", "--validpref", folder / "valid",
            "--testpref", tests,
        ))  # fmt: skip
        succeeded(fairseq(
            "train", folder / "data", *TASK, "--arch", "gnmt_memory_tiny",
            "--share-all-embeddings", "--units", 64, "--dropout", 0, "--autocast", "none",
            "--memory-size", 256, "--memory-key-dim", 16, "--memory-neighbors", 8,
            "--criterion", "memory_cross_entropy", "--optimizer", "adam", "--adam-eps", 1e-4,
            "--lr", 0.005, "--lr-scheduler", "tri_stage", "--phase-ratio", "(0.04, 0.5, 0.46)",
            "--final-lr-scale", 0.02, "--batch-size", 32, "--max-update", UPDATES,
            "--disable-validation", "--no-epoch-checkpoints", "--save-dir", folder, "--cpu",
            "--num-workers", 0, "--log-format", "simple",
        ))  # fmt: skip
        succeeded(verb(
            "fill", "--path", folder / "checkpoint_last.pt", "--data", folder / "data",
            "--split", "test1", "--teach", "--cpu", "--output", folder / "taught.pt",
        ))  # fmt: skip

    folder = made_once(tmp_path_factory, "one_look", make)
    return Taught(folder / "data", folder / "checkpoint_last.pt", folder / "taught.pt", names)


def said(taught: Taught, checkpoint: Path, split: str, times: int) -> list[bool]:
    """Return whether each translation has the name that belongs to it, as one whole word."""
    wanted = [one[1].replace("@@ ", "") for one in taught.names for _ in range(times)]
    translations = taught.translate(checkpoint, split)
    return [word in words for word, words in zip(wanted, translations, strict=True)]


@pytest.mark.parametrize(("split", "times"), [("test1", 1), ("test", 2)], ids=["itself", "others"])
def test_a_name_is_right_in_every_sentence_once_it_was_taught(
    taught: Taught, split: str, times: int
) -> None:
    assert not any(said(taught, taught.before, split, times))
    assert all(said(taught, taught.after, split, times))


def test_sentences_without_a_taught_name_are_translated_as_before(taught: Taught) -> None:
    before = taught.translate(taught.before, "test2")
    assert len({" ".join(words) for words in before}) > 20  # it has learned to translate
    assert taught.translate(taught.after, "test2") == before
