"""Whether one example is enough, measured on translators with known abilities."""

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from fairseq_plugins.errors import InputError
from fairseq_plugins.evaluation.found_or_trusted import find_word, read_places
from fairseq_plugins.evaluation.lesson_scores import (
    Answers,
    LessonScorer,
    Share,
    by_group,
    content_words,
    is_right,
)
from fairseq_plugins.evaluation.lesson_sets import Asked, LessonSet, Text, read_lesson_set
from fairseq_plugins.evaluation.lessons import Exam, Measuring, measure_folder, taught
from fairseq_plugins.evaluation.pupils import (
    Alone,
    Constrained,
    FineTuned,
    NearestNeighbours,
    WithMemory,
    best_weights,
    same_memories,
)
from fairseq_plugins.teaching.text import Pieces
from tests.tiny_translator import make_translator

LESSONS = Text(["The cat sleeps.", "The dog runs."], ["Die Katze schläft.", "Der Hund läuft."])
QUESTIONS = Text(
    ["The dog sleeps.", "The cat runs.", "The dog, the cat.", "A cat."],
    ["Der Hund schläft.", "Die Katze läuft.", "Der Hund, die Katze.", "Eine Katze."],
)
OTHER = Text(["The cat.", "A dog runs."], ["Die Katze.", "Ein Hund läuft."])
ASKED = [
    Asked("hund", "dog", 1, 0),
    Asked("katze", "cat", 0, 1),
    Asked("hund", "dog", 1, 2),
    Asked("katze", "cat", 0, 3),
]
SET = LessonSet(LESSONS, QUESTIONS, OTHER, ASKED)


class Pupil:
    """Knows the translations of some sentences once it was taught, and the others never."""

    def __init__(self, *known: str) -> None:
        every = [*LESSONS.pairs(), *QUESTIONS.pairs(), *OTHER.pairs()]
        self.known = {source: target for source, target in every if source in known}
        self.was_taught = False

    def teach(self, pairs: Sequence[tuple[str, str]]) -> None:
        assert list(pairs) == LESSONS.pairs()
        self.was_taught = True

    def translate(self, sentences: Sequence[str], beam: int) -> list[str]:
        return [self.known.get(one, "Hm.") if self.was_taught else "Hm." for one in sentences]

    def forget(self) -> None:
        self.was_taught = False


# --- Pupils of known ability ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "right", "verbatim", "changed"),
    [
        ((), 0, 0, 0),
        ((*QUESTIONS.source, *LESSONS.source, *OTHER.source), 4, 2, 2),
        ((QUESTIONS.source[0], QUESTIONS.source[3], LESSONS.source[1], OTHER.source[0]), 2, 1, 1),
    ],
    ids=["never", "always", "half the time"],
)
def test_known_ability_is_measured(known: tuple, right: int, verbatim: int, changed: int) -> None:
    exam, pupil = Exam(SET, Measuring()), Pupil(*known)
    exam.sit("before", pupil)
    with taught(pupil, SET):
        exam.sit("taught", pupil)
    exam.sit("forgotten", pupil)
    before, after, forgotten = exam.scores.values()
    assert (before.right.count, before.verbatim.count, before.changed.count) == (0, 0, 0)
    assert (after.right.count, after.verbatim.count, after.changed.count) == (
        right, verbatim, changed
    )  # fmt: skip
    assert (after.right.total, after.verbatim.total, after.changed.total) == (4, 2, 2)
    assert after.reworded.count == changed
    assert (after.bleu == pytest.approx(100)) == (right == 4)
    assert forgotten.right == before.right and forgotten.changed.count == 0


def test_a_word_is_right_as_a_whole_and_in_any_case() -> None:
    answers = ["ein HUND.", "Katzen", "Hundehütte", "die katze-"]
    assert is_right(ASKED, answers) == [True, False, False, True]


def test_an_inflected_word_is_told_apart() -> None:
    exam, pupil = Exam(SET, Measuring()), Pupil()
    pupil.translate = lambda sentences, beam: ["Katzen"] * len(sentences)  # type: ignore[method-assign]
    exam.sit("before", pupil)
    assert exam.scores["before"].right.count == 0
    assert exam.scores["before"].inflected.count == 2


def test_words_of_few_letters_are_no_content() -> None:
    assert content_words("Der Hund, die Katze: 42!") == {"hund", "katze"}


def test_changes_are_told_apart_by_what_the_references_say() -> None:
    references = SET.other.target
    before = Answers([""] * 4, [""] * 2, ["falsch", references[1]])
    after = Answers([""] * 4, [""] * 2, [references[0], "falsch"])
    scores = LessonScorer(SET).score(after, before)
    assert (scores.reworded.count, scores.better.count, scores.worse.count) == (2, 1, 1)


def test_a_change_is_unprovoked_where_no_new_word_of_a_lesson_is() -> None:
    before, after = (Answers([""] * 4, [""] * 2, [text] * 2) for text in ("falsch", "anders"))
    for new, total in (("cat", 1), ("sleeps", 2)):
        scores = LessonScorer(SET, knows=lambda word, new=new: word != new).score(after, before)
        assert (scores.unprovoked.count, scores.unprovoked.total) == (total, total)


def test_share_has_the_interval_of_wilson() -> None:
    assert Share(5, 10).interval == pytest.approx((23.66, 76.34), abs=0.01)
    assert Share(0, 27).interval == pytest.approx((0.0, 12.46), abs=0.01)
    assert str(Share(10, 10)) == "100.0 [72.2, 100.0]" and str(Share(0, 0)) == "-"


def test_groups_add_up() -> None:
    groups = by_group(ASKED, [True, False, True, True], lambda one: one.word)
    assert {name: (s.count, s.total) for name, s in groups.items()} == {
        "hund": (2, 2), "katze": (1, 2)
    }  # fmt: skip


def test_first_lessons_keep_their_questions() -> None:
    some = SET.first(1)
    assert len(some.lessons) == 1 and some.questions.source == ["The cat runs.", "A cat."]
    assert [(one.word, one.question) for one in some.asked] == [("katze", 0), ("katze", 1)]


@pytest.mark.parametrize(
    ("cut", "word", "found"),
    [
        ("Der H|und schl|äft|.", "hund", [1, 2]),
        ("(|H|und|)", "Hund", [1, 2]),
        ("Hund|e und Hund", "hund", [3]),
        ("eine E-|Mail", "e-mail", [1, 2]),
        ("", "hund", []),
    ],
)
def test_pieces_of_a_word_are_found(cut: str, word: str, found: list[int]) -> None:
    spans, begin = [], 0
    for piece in re.split(r"\||(?= )", cut):
        spans.append((begin + piece.startswith(" "), begin + len(piece)))
        begin += len(piece)
    assert find_word(Pieces(cut.replace("|", ""), spans), word) == found


# --- Sets on disk ---------------------------------------------------------------------------------


@pytest.fixture
def set_folder(tmp_path: Path) -> Path:
    """Return the set in files."""
    folder = tmp_path / "set"
    folder.mkdir()
    for name, text in (("lessons", LESSONS), ("questions", QUESTIONS), ("other", OTHER)):
        (folder / f"{name}.en").write_text("".join(f"{line}\n" for line in text.source))
        (folder / f"{name}.de").write_text("".join(f"{line}\n" for line in text.target))
    (folder / "asked.json").write_text(json.dumps([vars(one) for one in ASKED]))
    return folder


def test_a_set_is_read(set_folder: Path) -> None:
    assert read_lesson_set(set_folder, ("en", "de")) == SET


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("asked.json", b"{", "asked.json: is not JSON"),
        ("asked.json", b"\xff", "asked.json: is not JSON"),
        ("asked.json", b"[]", "must be a list of questions with at least one entry"),
        ("asked.json", b"{}", "must be a list"),
        ("asked.json", b"[1]", "asked.json, entry 0: must have the texts"),
        ("asked.json", b'[{"word": "a", "source_word": "b", "lesson": true, "question": 0}]',
         "entry 0: must have"),
        ("asked.json", b'[{"word": "a", "source_word": "b", "lesson": 2, "question": 0}]',
         "there is no lesson 2; they are numbered from 0 to 1"),
        ("asked.json", b'[{"word": "a", "source_word": "b", "lesson": 0, "question": -1}]',
         "there is no question -1"),
        ("asked.json", b'[{"word": "!", "source_word": "b", "lesson": 0, "question": 0}]',
         "'!' has neither letters nor digits"),
        ("lessons.de", b"one\n", "lessons.en has 2 lines, .*lessons.de has 1"),
        ("other.en", b"\xff\n\n", "other.en, line 1: not UTF-8"),
    ],
)  # fmt: skip
def test_a_damaged_set_is_one_line(set_folder: Path, name: str, content: bytes, told: str) -> None:
    (set_folder / name).write_bytes(content)
    with pytest.raises(InputError, match=told):
        read_lesson_set(set_folder, ("en", "de"))


def test_an_empty_text_is_refused(set_folder: Path) -> None:
    for language in ("en", "de"):
        (set_folder / f"other.{language}").write_bytes(b"")
    with pytest.raises(InputError, match=r"other\.en: is empty"):
        read_lesson_set(set_folder, ("en", "de"))


# --- Ways of learning, on a translator that says what it remembers --------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_translator(tmp_path_factory.mktemp("pupils"))


@pytest.fixture
def alone(folder: Path) -> Alone:
    return Alone(folder)


def test_a_pupil_with_memory_says_its_lessons_and_forgets_them_exactly(alone: Alone) -> None:
    pupil = WithMemory(alone)
    start, before = pupil.held(), alone.translate(LESSONS.source, 2)
    with taught(pupil, SET):
        assert pupil.translate(LESSONS.source, 2) == LESSONS.target
        assert not same_memories(start, pupil.held())
    assert same_memories(start, pupil.held())
    assert alone.translate(LESSONS.source, 2) == before


def test_memories_that_differ_in_one_number_are_told_apart(alone: Alone) -> None:
    one = WithMemory(alone).held()
    for name, tensor in one.items():
        other = {key: value.clone() for key, value in one.items()}
        if tensor.numel():
            other[name].view(-1)[0] = 1 - other[name].view(-1)[0].int()
            assert not same_memories(one, other), name
    grown = one | {name: torch.cat([one[name], one[name][:1]]) for name in ("values",)}
    assert same_memories(one, one)
    assert not same_memories(one, grown | {"values": torch.cat([one["values"], torch.ones(1)])})


def test_what_was_written_after_the_lessons_evicts_none_of_them(alone: Alone) -> None:
    pupil = WithMemory(alone)
    with taught(pupil, SET):
        pupil.write(QUESTIONS.pairs() * 40)
        assert pupil.translate(LESSONS.source, 2) == LESSONS.target


def test_fine_tuning_learns_and_forgetting_puts_all_weights_back(alone: Alone) -> None:
    weights = {name: one.clone() for name, one in alone.network.model.state_dict().items()}
    tokens = alone.tokens(LESSONS.pairs())
    before = float(alone.network.nll(tokens).detach())
    pupil = FineTuned(alone, passes=20, learning_rate=0.01)
    with taught(pupil, SET):
        assert float(alone.network.nll(tokens).detach()) < before / 2
    after = alone.network.model.state_dict()
    assert all(torch.equal(one, after[name]) for name, one in weights.items())


def test_a_constrained_search_says_the_words_it_is_given(alone: Alone) -> None:
    pupil = Constrained(alone, QUESTIONS.pairs(), ASKED)
    said = pupil.translate(QUESTIONS.source, 2)
    for one in ASKED:
        assert one.word in said[one.question].lower()
    unasked = pupil.translate(OTHER.source, 2)
    assert unasked == alone.translate(OTHER.source, 2)


def test_neighbours_without_trust_change_nothing_and_the_best_weight_is_found(alone: Alone) -> None:
    before = alone.translate(LESSONS.source, 2)
    silent = NearestNeighbours(alone, weight=0.0)
    with taught(silent, SET):
        assert silent.translate(LESSONS.source, 2) == before
    # Of the lessons themselves all is known: the more trust and the sharper, the better.
    pairs = LESSONS.pairs()
    assert best_weights(alone, pairs, pairs, (0.1, 0.9, 0.5), (3.0, 1000.0)) == (0.9, 1000.0)


def test_a_folder_is_measured_and_stays_as_it_is(folder: Path, set_folder: Path) -> None:
    def contents() -> dict[str, str]:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    before = contents()
    corpus = shutil.copy(set_folder / "other.en", set_folder / "more.en")
    shutil.copy(set_folder / "other.de", set_folder / "more.de")
    how = Measuring(beam=2, baselines=True, corpus=Path(corpus).with_suffix(""), written=2)
    report = measure_folder(folder, set_folder, how)
    assert contents() == before
    assert report.forgets
    assert report.scores["taught"].verbatim == Share(2, 2)
    assert report.scores["word given"].right == Share(4, 4)
    assert report.scores["after 2 pairs"].verbatim == Share(2, 2)
    assert {"fine-tuned, 1 x", "fine-tuned, 10 x", "kNN, weight 0.5"} <= set(report.scores)
    assert report.found is not None and report.found.words == 4
    assert 0 <= report.found.first.among <= 1
    assert json.loads(json.dumps(report.as_json()))["groups"]["source word"]["new"]
    text = str(report)
    assert "correct elsewhere" in text and "restores the memory bit for bit" in text


def test_parts_of_the_probability_add_up(alone: Alone) -> None:
    pupil = WithMemory(alone)
    with taught(pupil, SET):
        for place in read_places(alone, LESSONS.pairs()[0]):
            assert place.among == place.nearest == 1
            total = place.lessons + place.terms + place.network
            assert total == pytest.approx(place.probability, abs=1e-4)
