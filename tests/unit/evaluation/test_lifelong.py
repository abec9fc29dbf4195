"""A translator's day: what was translated is known from then on."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from fairseq_plugins.errors import InputError
from fairseq_plugins.evaluation.lesson_sets import Text
from fairseq_plugins.evaluation.lifelong import (
    ALONE,
    BOTH,
    FUZZY,
    REMEMBERS,
    Day,
    fuzzy_matches,
    measure_day,
    remembered,
    scored,
)
from tests.tiny_translator import make_translator

TEXT = Text(
    ["The cat sleeps.", "The dog runs.", "The cat sleeps!", "The dog runs.", "A cat."],
    ["Die Katze schläft.", "Der Hund läuft.", "Die Katze schläft!", "Ein Hund läuft.", "Katze."],
)


class Pupil:
    """Knows what it was taught, and writes down all that happens."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.asked: list[str] = []

    def translate(self, sentences: Sequence[str], beam: int) -> list[str]:
        self.asked += sentences
        return [self.known.get(one, f"{len(self.known)} known") for one in sentences]

    def teach(self, pairs: Sequence[tuple[str, str]]) -> None:
        self.known |= dict(pairs)


def test_every_sentence_is_taught_after_it_was_translated() -> None:
    pupil = Pupil()
    found = list(remembered(pupil, TEXT, beam=2))  # type: ignore[arg-type]
    assert found == ["0 known", "1 known", "2 known", "Der Hund läuft.", "3 known"]
    assert "The dog runs." in pupil.known and pupil.known["The dog runs."] == "Ein Hund läuft."


def test_a_fuzzy_match_is_the_translation_of_the_most_similar_sentence_so_far() -> None:
    nothing_new = [None, None, "Die Katze schläft.", "Der Hund läuft.", None]
    assert list(fuzzy_matches(TEXT, 0.75)) == nothing_new
    assert list(fuzzy_matches(TEXT, 1.0)) == [None, None, None, "Der Hund läuft.", None]


def test_scores_are_those_of_all_sentences_so_far() -> None:
    right, wrong = TEXT.target, ["Hm ."] * 5
    worked = {ALONE: wrong, FUZZY: right, REMEMBERS: [*wrong[:3], *right[3:]]}
    report = scored(worked, right, "13a", copied=2, forgets=True)
    assert report.until == [1, 2, 3, 4, 5]
    assert report.bleu[FUZZY] == pytest.approx([100] * 5) and report.bleu[ALONE][-1] < 10
    assert report.bleu[REMEMBERS][2] == report.bleu[ALONE][2]
    assert report.bleu[REMEMBERS][4] > report.bleu[ALONE][4]
    assert report.p.keys() == {ALONE, FUZZY} and report.p[FUZZY] < 0.05
    assert "2 of 5 sentences have a fuzzy match" in str(report)
    assert "does NOT" in str(scored(worked, right, "13a", copied=2, forgets=False))


def test_a_text_shorter_than_its_parts_is_scored() -> None:
    worked = dict.fromkeys((ALONE, FUZZY, REMEMBERS), TEXT.target[:1])
    report = scored(worked, TEXT.target[:1], "13a", copied=0, forgets=True)
    assert report.until == [1] and report.p[ALONE] == 1


def test_a_folder_works_through_a_text_and_stays_as_it_is(tmp_path: Path) -> None:
    folder = make_translator(tmp_path / "translator")
    for language, lines in (("en", TEXT.source), ("de", TEXT.target)):
        (tmp_path / f"day.{language}").write_text("".join(f"{one}\n" for one in lines))

    def contents() -> dict[Path, str]:
        files = (path for path in folder.rglob("*") if path.is_file())
        return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    before = contents()
    report = measure_day(folder, tmp_path / "day", Day(beam=2, sentences=4))
    assert contents() == before and report.forgets and report.until[-1] == 4
    assert report.copied == 2 and report.bleu[REMEMBERS][-1] > report.bleu[ALONE][-1]
    assert list(report.bleu) == [ALONE, FUZZY, REMEMBERS, BOTH]
    assert report.bleu[BOTH][-1] > report.bleu[ALONE][-1]
    with pytest.raises(InputError, match="similarity nan: it is above 0 and at most 1"):
        measure_day(folder, tmp_path / "day", Day(similarity=float("nan")))
