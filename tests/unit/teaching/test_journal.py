"""The journal of lessons: compared with a list, killed while writing, shared by processes."""

import contextlib
import multiprocessing
import random
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import hypothesis.strategies as st
import psycopg
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fairseq_plugins.errors import InputError
from fairseq_plugins.teaching.journal import Journal
from fairseq_plugins.teaching.journal_tables import Decodings
from fairseq_plugins.teaching.lessons import Lesson, Pair, Selection, UnknownLesson

KILLS = 20
TEXTS = st.sampled_from(["cat", "Cat", "50 %_", "Äpfel", "", "a\nb", "x" * 300])
ORIGINS = st.sampled_from(["", "terms.tmx", "Terms.tmx"])
PAIRS = st.builds(Pair, source=TEXTS, target=TEXTS, origin=ORIGINS, note=TEXTS)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Return an empty one."""
    return Journal(tmp_path / "lessons.db")


def teach(journal: Journal, source: str, target: str, **more: str) -> Lesson:
    """Return one pair."""
    return journal.teach([Pair(source=source, target=target, **more)])[0][0]


class Model(RuleBasedStateMachine):
    """The journal against a list of the states after each change."""

    new_place: Callable[[], Path | str]

    @initialize()
    def begin(self) -> None:
        self.place = self.new_place()
        self.journal = Journal(self.place)
        self.states: list[dict[int, Lesson]] = [{}]
        self.ids: set[int] = set()
        self.seen, self.follows = 0, dict[str, Lesson]()
        self.changes = 0

    @property
    def taught(self) -> dict[int, Lesson]:
        return self.states[-1]

    def changed(self, state: dict[int, Lesson]) -> None:
        self.states.append(state)
        self.changes += 1

    @rule(pairs=st.lists(PAIRS, min_size=1, max_size=3))
    def teach(self, pairs: list[Pair]) -> None:
        lessons, _ = self.journal.teach(pairs, Decodings("f", [b"data"] * len(pairs)))
        assert not {lesson.id for lesson in lessons} & self.ids, "an id was used again"
        self.ids |= {lesson.id for lesson in lessons}
        self.changed(self.taught | {lesson.id: lesson for lesson in lessons})

    @rule(draw=st.randoms(use_true_random=False), source=TEXTS, translation=TEXTS)
    @precondition(lambda self: self.taught)
    def edit(self, draw: random.Random, source: str, translation: str) -> None:
        old = draw.choice(list(self.taught.values()))
        new = self.journal.edit(replace(old, source=source, target=translation))
        assert (new.id, new.source, new.created) == (old.id, source, old.created)
        self.changed(self.taught | {new.id: new})

    @rule(draw=st.randoms(use_true_random=False), count=st.integers(1, 3))
    @precondition(lambda self: self.taught)
    def forget(self, draw: random.Random, count: int) -> None:
        ids = draw.sample(list(self.taught), min(count, len(self.taught)))
        self.journal.forget(ids)
        self.changed({id: lesson for id, lesson in self.taught.items() if id not in ids})

    @rule()
    @precondition(lambda self: len(self.states) > 1)
    def undo(self) -> None:
        self.journal.undo()
        self.states.pop()
        self.changes += 1

    @rule()
    def what_is_not_there(self) -> None:
        before = self.journal.since(0)[0]
        nowhere = max(self.ids, default=0) + 100
        for call in (
            lambda: self.journal.forget([*list(self.taught)[:1], nowhere]),
            lambda: self.journal.edit(
                Lesson(source="", target="", id=nowhere, version=0, changed="")
            ),
            lambda: self.journal.lesson(nowhere),
        ):
            with pytest.raises(InputError, match="there is no lesson"):
                call()
        assert self.journal.since(0)[0] == before, "nothing half done"

    @rule()
    def reopen(self) -> None:
        self.journal.close()
        self.journal = Journal(self.place)

    @rule()
    def follow(self) -> None:
        self.seen, news = self.journal.since(self.seen)
        for source, lesson in news.items():
            self.follows.pop(source, None)
            if lesson is not None:
                self.follows[source] = lesson
        newest = {
            lesson.source: lesson
            for lesson in sorted(self.taught.values(), key=lambda lesson: lesson.version)
        }
        assert self.follows == newest

    @invariant()
    def same(self) -> None:
        taught = sorted(self.taught.values(), key=lambda lesson: -lesson.version)
        assert list(self.journal.lessons()) == taught
        assert self.journal.count(Selection(origin="terms.tmx")) == sum(
            lesson.origin == "terms.tmx" for lesson in taught
        )
        found = self.journal.lessons(Selection(search="äPF"))
        assert list(found) == [t for t in taught if "Äpfel" in t.source + t.target + t.note]
        changes = list(self.journal.history())
        assert len(changes) == self.changes
        assert sum(not change.undone and change.kind != "undo" for change in changes) == (
            len(self.states) - 1
        )
        pairs = {
            (new.id, old.id)
            for old in taught
            for new in [next(t for t in taught if t.source == old.source)]
            if new.target != old.target
        }
        assert {(new.id, old.id) for new, old in self.journal.contradictions()} == pairs

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()


def compare(new_place: Callable[[], Path | str], examples: int) -> None:
    """Run the machine above."""
    machine = type("ModelAt", (Model,), {"new_place": staticmethod(new_place)})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=20)
    )


def test_agrees_with_a_list(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Any sequence of changes gives the same lessons as a list."""
    folder = tmp_path_factory.mktemp("journals")
    compare(lambda: folder / f"{uuid.uuid4()}.db", examples=8)


def test_agrees_with_a_list_in_postgresql(postgresql: str) -> None:
    """The tables work the same in PostgreSQL."""

    def emptied() -> str:
        with psycopg.connect(postgresql) as connection:
            connection.execute("DROP TABLE IF EXISTS events, decodings, about")
        return postgresql

    compare(emptied, examples=3)


def test_undo_goes_back_change_by_change_and_no_further(journal: Journal) -> None:
    """An undo is itself in the history, and is not undone."""
    first = teach(journal, "a", "b")
    journal.edit(replace(first, target="c"))
    assert journal.undo().kind == "edit"
    assert journal.lesson(first.id).target == "b"
    assert journal.undo().kind == "teach"
    with pytest.raises(InputError, match="no change left"):
        journal.undo()
    assert [change.kind for change in journal.history()] == ["undo", "undo", "edit", "teach"]


def test_an_import_in_parts_is_one_change(journal: Journal) -> None:
    """If it is undone in the meantime, the rest becomes another change."""
    _, change = journal.teach([Pair(source="a", target="b")])
    other = teach(journal, "x", "y")
    assert journal.teach([Pair(source="c", target="d")], change=change)[1] == change
    assert [done.lessons for done in journal.history()] == [1, 2]
    journal.undo(), journal.undo()
    assert journal.count() == 0, "the one begun last goes first, then the other with both parts"
    _, later = journal.teach([Pair(source="e", target="f")], change=change)
    assert later not in (change, None) and other.id != later
    assert journal.count() == 1


def test_newest_lesson_of_a_source_wins(journal: Journal) -> None:
    """An edit of an old lesson also counts as newer; both are named."""
    old, new = teach(journal, "bank", "Bank"), teach(journal, "bank", "Ufer")
    assert [(a.id, b.id) for a, b in journal.contradictions()] == [(new.id, old.id)]
    edited = journal.edit(replace(old, note="money"))
    assert journal.of_source("bank")[0] == edited
    assert [(a.id, b.id) for a, b in journal.contradictions()] == [(old.id, new.id)]


def test_selection_by_time_and_author(journal: Journal) -> None:
    """Times in ISO format are compared as text."""
    lesson = teach(journal, "a", "b", author="Ada")
    assert journal.count(Selection(author="Ada", since="2020-01-01")) == 1
    assert journal.count(Selection(before=lesson.changed)) == 0
    assert journal.count(Selection(since=lesson.changed, search="%")) == 0


def test_times_are_compared_in_utc(journal: Journal) -> None:
    teach(journal, "cat", "Katze")
    (changed,) = [lesson.changed for lesson in journal.lessons()]
    moment = datetime.fromisoformat(changed)
    for hours in (-11, 0, 5):
        there = moment.astimezone(timezone(timedelta(hours=hours))).isoformat()
        assert journal.count(Selection(since=there)) == 1
        assert journal.count(Selection(before=there)) == 0


@pytest.mark.parametrize("name", ["since", "before"])
@pytest.mark.parametrize("time", ["", "yesterday", "2030-99-99", "1", "2030-01-01\0"])
def test_what_is_no_time_is_refused(name: str, time: str) -> None:
    with pytest.raises(InputError, match=f"{name} .* is no time; write 2030-12-31"):
        Selection(**{name: time})


@pytest.mark.parametrize("number", [0, -1, 2**31, 2**63, 10**30])
def test_numbers_that_no_lesson_has(journal: Journal, number: int) -> None:
    with pytest.raises(UnknownLesson, match=f"there is no lesson {number}"):
        journal.lesson(number)
    with pytest.raises(UnknownLesson):
        journal.forget([number])


def test_what_the_database_refuses_is_told_in_one_line(journal: Journal) -> None:
    teach(journal, "cat", "Katze")
    with pytest.raises(InputError, match=r"lessons\.db: cannot be read \(LIKE or GLOB pattern"):
        journal.count(Selection(search="a" * 100_000))
    with pytest.raises(InputError, match=r"lessons\.db: cannot be read \(Python int too large"):
        list(journal.lessons(offset=10**30))


def test_a_journal_that_is_damaged_while_it_is_open(journal: Journal, tmp_path: Path) -> None:
    for number in range(200):
        teach(journal, f"cat {number}", "Katze" * 100)
    journal.close()
    path = tmp_path / "lessons.db"
    content = path.read_bytes()
    path.write_bytes(content[:8192] + b"x" * 40_000 + content[48_192:])
    with pytest.raises(InputError, match=r"lessons\.db: cannot be read \(database disk image"):
        list(journal.lessons())


def test_decodings_are_kept_for_each_model(journal: Journal) -> None:
    """Another model's decodings are added, and none is computed twice."""
    lesson = journal.teach([Pair(source="a", target="b")], Decodings("f", [b"1"]))[0][0]
    assert dict(journal.decodings([lesson.version, 99], "f")) == {lesson.version: b"1"}
    assert not list(journal.decodings([lesson.version], "g"))
    for data in (b"2", b"3"):
        journal.remember([lesson], Decodings("g", [data]))
    assert dict(journal.decodings([lesson.version], "g")) == {lesson.version: b"2"}


def test_every_change_is_flushed_to_the_disk(journal: Journal) -> None:
    """No test can cut the power, so this is what SQLite's manual asks for."""
    with journal._engine.connect() as connection:
        settings = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("synchronous", "journal_mode")
        ]
    assert settings == [2, "wal"], "FULL"


def test_not_a_journal(tmp_path: Path) -> None:
    """One line names the file."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database at all, but some text\n" * 100)
    for place in (path, tmp_path / "missing" / "lessons.db", "nosuch://host/db", "mysql://host/db"):
        with pytest.raises(InputError, match="cannot be opened as a journal") as caught:
            Journal(place)
        assert str(place) in str(caught.value) and "\n" not in str(caught.value)


def test_a_later_layout_is_refused(journal: Journal, tmp_path: Path) -> None:
    """A newer layout is rejected rather than misread."""
    with sqlite3.connect(tmp_path / "lessons.db") as database:
        database.execute("UPDATE about SET layout = 99")
    with pytest.raises(InputError, match="layout 99"):
        Journal(tmp_path / "lessons.db")


# --- More than one process ------------------------------------------------------------------------

FORK = multiprocessing.get_context("fork")  # a new interpreter would take seconds to start


def work(place: Path | str, name: str, count: int, acknowledge: Connection) -> None:
    """Teach, and tell which ids one was told are taught."""
    journal = Journal(place)
    for number in range(count):
        pairs = [Pair(source=f"{name} {number} {part}", target="t" * 2000) for part in range(3)]
        lessons, _ = journal.teach(pairs, Decodings("f", [b"q" * 5000] * 3))
        acknowledge.send([lesson.id for lesson in lessons])
    acknowledge.close()


def start(place: Path | str, name: str, count: int) -> tuple[BaseProcess, Connection]:
    """Return a process that teaches, and what it tells."""
    told, tells = FORK.Pipe(duplex=False)
    process = FORK.Process(target=work, args=(place, name, count, tells))
    process.start()
    tells.close()
    return process, told


def heard(told: Connection) -> Iterator[int]:
    """Yield all ids until the process has ended."""
    with contextlib.suppress(EOFError):
        while True:
            yield from told.recv()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Of a journal that several processes share."""
    if request.param == "sqlite":
        return tmp_path / "lessons.db"
    return request.getfixturevalue("empty_postgresql")


def test_two_processes_at_once(place: Path | str) -> None:
    """No id is used twice, nothing is lost, and a third process sees everything."""
    workers = [start(place, name, 25) for name in "ab"]
    ids = [id for _, told in workers for id in heard(told)]
    for process, _ in workers:
        process.join()
    assert len(ids) == len(set(ids)) == 150
    journal = Journal(place)
    assert sorted(lesson.id for lesson in journal.lessons()) == sorted(ids)
    assert len(list(journal.history())) == 50, "what is taught together is one change"


def test_killed_at_any_moment(place: Path | str) -> None:
    """What was acknowledged is there, and nothing is incomplete."""
    draw = random.Random(1)
    acknowledged: set[int] = set()
    for number in range(KILLS):
        process, told = start(place, str(number), 10_000)
        if number % 2:  # the others are killed while they open it
            acknowledged |= set(told.recv())
        time.sleep(draw.uniform(0, 0.1))
        process.kill()
        process.join()
        acknowledged |= set(heard(told))
    journal = Journal(place)
    lessons = list(journal.lessons())
    assert len(acknowledged) > KILLS
    assert acknowledged <= {lesson.id for lesson in lessons}
    assert all(change.lessons == 3 for change in journal.history())
    assert len(list(journal.decodings([lesson.version for lesson in lessons], "f"))) == len(lessons)
    if isinstance(place, Path):
        with sqlite3.connect(place) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
