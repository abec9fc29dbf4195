"""What cleaning drops, what it keeps, and its report."""

from pathlib import Path

import pytest

from data_prep.core.program import DataError
from data_prep.text import cleaning
from data_prep.text.cleaning import Cleaner, Corpus, check_alignment
from data_prep.text.quality import CleaningOptions, normalise

Pairs = list[tuple[str, str]]


def corpus(folder: Path, name: str, pairs: Pairs) -> Corpus:
    """Write pairs as a corpus of two files."""
    paths = folder / f"{name}-in.en", folder / f"{name}-in.de"
    for path, side in zip(paths, zip(*pairs, strict=True), strict=True):
        path.write_text("".join(line + "\n" for line in side), "utf-8")
    return Corpus(name, [paths])


def clean(
    folder: Path, train: Pairs, test: Pairs | None = None, **options: int | bool
) -> tuple[Cleaner, list[str]]:
    """Clean a training corpus, after a test corpus if there is one; return what is left."""
    cleaner = Cleaner(CleaningOptions(**options), ("en", "de"))  # type: ignore[arg-type]
    if test:
        cleaner.write_evaluation(corpus(folder, "test", test), folder)
    cleaner.write_training(corpus(folder, "train", train), folder)
    return cleaner, (folder / "train.en").read_text("utf-8").splitlines()


GOOD = ("a good house", "ein gutes Haus")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (("", "leer"), "empty"),
        ((" \t", "leer"), "empty"),
        (("word " * 300, "Wort " * 300), "too long"),
        (("x" * 100_000, "y"), "too long"),
        (("yes", "ja, " * 20), "length ratio"),
        (GOOD, "duplicate"),
    ],
)
def test_bad_training_pair_is_dropped_and_reported(
    tmp_path: Path, bad: tuple[str, str], reason: str
) -> None:
    cleaner, left = clean(tmp_path, [GOOD, bad])
    assert left == [GOOD[0]]
    report = cleaner.reports["train"]
    assert (report.read, report.kept, report.found[reason]["count"]) == (2, 1, 1)
    assert report.found[reason]["examples"][0]["where"].endswith("train-in.en:2")


def test_training_pair_of_the_test_text_is_dropped(tmp_path: Path) -> None:
    cleaner, left = clean(tmp_path, [GOOD, ("a cat", "eine Katze")], test=[GOOD])
    assert left == ["a cat"]
    assert cleaner.reports["train"].found["also in development or test text"]["count"] == 1


def test_same_source_with_another_translation_is_no_duplicate(tmp_path: Path) -> None:
    _, left = clean(tmp_path, [("hi", "hallo"), ("hi", "servus")])
    assert len(left) == 2


def test_duplicates_stay_on_demand(tmp_path: Path) -> None:
    _, left = clean(tmp_path, [GOOD, GOOD], test=[GOOD], keep_duplicates=True)
    assert len(left) == 2


def test_short_pairs_may_differ_much_in_length(tmp_path: Path) -> None:
    _, left = clean(tmp_path, [("Yes.", "Selbstverständlich.")])
    assert left == ["Yes."]


def test_test_text_is_never_dropped_but_reported(tmp_path: Path) -> None:
    pairs = [GOOD, GOOD, ("", "leer"), ("x" * 100_000, "y")]
    cleaner, _ = clean(tmp_path, [("a", "b")], test=pairs)
    report = cleaner.reports["test"]
    assert report.kept == len(pairs)
    assert len((tmp_path / "test.de").read_text().splitlines()) == len(pairs)
    assert {reason: found["count"] for reason, found in report.found.items()} == {
        "empty": 1,
        "too long": 1,
    }


def test_suspicious_test_text_is_written_like_all_other(tmp_path: Path) -> None:
    cleaner, _ = clean(tmp_path, [("a", "b")], test=[("Yes, yes.", "ja, " * 20)], tokenise=True)
    assert "length ratio" in cleaner.reports["test"].found
    assert (tmp_path / "test.en").read_text() == "Yes , yes .\n"


def test_lines_are_counted_over_all_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "CHUNK", 2)
    cleaner, _ = clean(tmp_path, [GOOD, ("a", "b"), ("c", "d"), ("", "leer")])
    (example,) = cleaner.reports["train"].found["empty"]["examples"]
    assert example["where"].endswith("train-in.en:4")


def test_summary_quotes_only_the_beginning_of_a_long_line(tmp_path: Path) -> None:
    cleaner, _ = clean(tmp_path, [GOOD, ("x" * 100_000, "y")])
    lines = list(cleaner.reports["train"].summary("train"))
    assert lines[0] == "train: 1 of 2 pairs kept"
    assert lines[1] == "  dropped: 1 too long"
    assert max(map(len, lines)) < 500


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no usable pair left of 1 after cleaning: 1 empty \\("):
        clean(tmp_path, [("", "leer")])


def test_misaligned_files_are_named_with_their_counts(tmp_path: Path) -> None:
    bad = corpus(tmp_path, "train", [GOOD, GOOD])
    with bad.files[1].open("a") as file:
        file.write("eins zu viel\n")
    with pytest.raises(DataError, match=r"train-in\.en has 2 lines but .*train-in\.de has 3"):
        check_alignment(bad)


def test_empty_file_is_named(tmp_path: Path) -> None:
    bad = corpus(tmp_path, "valid", [GOOD])
    bad.files[0].write_text("")
    with pytest.raises(DataError, match=r"valid-in\.en: empty file"):
        check_alignment(bad)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Scho\u0308n", "Schön"),  # NFC
        (" a \u00a0 b\t c\r", "a b c"),
        ("a\u2028b\x85c", "a b c"),
        ("a\x00b\x1bc", "a b c"),
        ("ﬁne ½ \uff21 »x« …", "ﬁne ½ \uff21 »x« …"),  # compatibility forms are left alone
    ],
)
def test_normalise(line: str, expected: str) -> None:
    assert normalise(line) == expected
