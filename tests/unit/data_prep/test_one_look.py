"""The program that creates one-look sets: its files, and its errors."""

import json
from pathlib import Path

import pytest

from data_prep import one_look
from data_prep.core.program import DataError
from data_prep.text.one_look import words_of
from tests.unit.data_prep.text.test_one_look import made_up


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two texts; `train` lacks some words of `text`."""
    for name, rare in (("text", 12), ("train", 6)):
        for language, lines in zip(("lv", "ka"), zip(*made_up(rare), strict=True), strict=True):
            (tmp_path / f"{name}.{language}").write_text("\n".join(lines) + "\n", "utf-8")
    return tmp_path


def build(folder: Path, *extra: str, out: str = "out", text: str = "text") -> Path:
    arguments = ["--text", str(folder / text), "--source-lang", "lv", "--target-lang", "ka"]
    command = [*arguments, "--out", str(folder / out), "--others", "20", *extra]
    one_look.main(one_look.parse_arguments(command))
    return folder / out


def lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


def test_words_that_training_lacks(folder: Path) -> None:
    out = build(folder, "--training", str(folder / "train"))
    asked = json.loads((out / "asked.json").read_text("utf-8"))
    known = set(words_of((folder / "train.ka").read_text("utf-8")))
    assert asked
    assert not known & {one["word"] for one in asked}
    for one in asked:
        for name, key in (("lessons", "lesson"), ("questions", "question")):
            assert one["word"] in words_of(lines(out / f"{name}.ka")[one[key]])
            assert one["source_word"] in words_of(lines(out / f"{name}.lv")[one[key]])
    assert not (out / "train_lines_left_out.txt").exists()


def test_lines_to_be_left_out_of_training(folder: Path) -> None:
    out = build(folder)
    left_out = set(map(int, lines(out / "train_lines_left_out.txt")))
    rest = [line for n, line in enumerate(lines(folder / "text.ka"), start=1) if n not in left_out]
    asked = {one["word"] for one in json.loads((out / "asked.json").read_text("utf-8"))}
    assert asked
    assert asked.isdisjoint(words_of("\n".join(rest)))
    assert set(rest).isdisjoint(lines(out / "other.ka") + lines(out / "questions.ka"))
    assert len(lines(out / "other.lv")) == 20


def test_the_same_everywhere(folder: Path) -> None:
    for out in ("one", "further/two"):
        build(folder, out=out)
    for file in (folder / "one").glob("[a-z]*"):
        assert file.read_bytes() == (folder / "further" / "two" / file.name).read_bytes()


def test_a_document_is_a_text(folder: Path) -> None:
    rows = "".join(f"{source}\t{target}\n" for source, target in made_up())
    (folder / "text.tsv").write_text(rows)
    documented = build(folder, "--training", str(folder / "train"), text="text.tsv", out="a")
    plain = build(folder, "--training", str(folder / "train"), out="b")
    assert (documented / "asked.json").read_bytes() == (plain / "asked.json").read_bytes()


@pytest.mark.parametrize(
    ("extra", "error"),
    [
        (["--min-letters", "500"], r"text\.ka: no word of it can be taught"),
        (["--text", "a,b"], "lines to be left out of training are numbered in one pair"),
        (["--target-lang", "../ka"], "--target-lang: .* cannot be the name of a file"),
        (["--training", "nowhere"], r"nowhere\.lv: no such file"),
    ],
)
def test_what_is_refused(folder: Path, extra: list[str], error: str) -> None:
    with pytest.raises(DataError, match=error):
        build(folder, *extra)
    assert not list(folder.glob("out/*.*a*"))


def test_misaligned_text_is_refused(folder: Path) -> None:
    with (folder / "text.ka").open("a") as text:
        text.write("one more\n")
    with pytest.raises(DataError, match=r"text\.lv has 200 lines but .*text\.ka has 201"):
        build(folder)
