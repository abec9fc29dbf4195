"""The tables of the journal of lessons, and their queries."""

import functools
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from fairseq_plugins.teaching.lessons import TIME, Change, Lesson, Pair, Selection, UnknownLesson

AT_ONCE = 500  # rows named in one statement, which databases limit
WAIT = 60.0  # seconds to wait for another process that is writing
LAYOUT = 1  # of the tables
NO_LESSON = 1 << 31  # greater than all numbers of events, which are PostgreSQL integers
# What no lesson contains. Databases treat a NUL as the end of a text, and refuse the others.
NOWHERE = re.compile("[\0\ud800-\udfff]")
LOCK = 0x1E550  # its holder writes to a journal in PostgreSQL

METADATA = sa.MetaData()
EVENTS = sa.Table(
    "events",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("change", sa.Integer, nullable=False),  # number of its first event
    sa.Column("kind", sa.Text, nullable=False),  # teach, edit, forget, undo
    sa.Column("time", sa.Text, nullable=False),
    sa.Column("undone", sa.Integer),  # for an undo: the change that no longer counts
    sa.Column("lesson", sa.Integer),  # number of the event that taught it
    # The lesson from now on, or up to now if it is forgotten.
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("created", sa.Text, nullable=False),
    sa.Column("source_hash", sa.BigInteger, nullable=False),  # a short index for long texts
    sa.Column("folded", sa.Text, nullable=False),  # source, target and note in lower case
    sa.Index("events_of_lesson", "lesson", "number"),
    sa.Index("events_of_source", "source_hash"),
    sa.Index("events_of_change", "change"),
    sa.Index("events_undone", "undone"),
)
DECODINGS = sa.Table(
    "decodings",
    METADATA,
    sa.Column("event", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("fingerprint", sa.Text, primary_key=True),
    sa.Column("data", sa.LargeBinary, nullable=False),
)
ABOUT = sa.Table("about", METADATA, sa.Column("layout", sa.Integer, nullable=False))
TEXTS = [field.name for field in fields(Pair)]


@dataclass(frozen=True)
class Decodings:
    """What a model stores for some lessons.

    Attributes:
        fingerprint: of the model.
        data: of each lesson, in their order.
    """

    fingerprint: str
    data: Sequence[bytes]


class Events:
    """The events, as seen by one transaction.

    Args:
        place: of the database, for messages.
        connection: in a transaction.
    """

    def __init__(self, place: Path | str, connection: sa.Connection) -> None:
        self.place, self.connection = place, connection
        self.time = datetime.now(UTC).strftime(TIME)
        self._last: int | None = None
        self._new: list[dict[str, Any]] = []

    def append(
        self,
        kind: str,
        change: int | None,
        pair: Pair,
        lesson: int | None = None,
        undone: int | None = None,
    ) -> int:
        """Add an event, the first of a change unless one is given; return its number.

        :meth:`write` writes it.
        """
        if self._last is None:
            self._last = self.connection.scalar(sa.select(sa.func.max(EVENTS.c.number))) or 0
        self._last += 1
        texts = {name: getattr(pair, name) for name in TEXTS}
        self._new.append({
            "number": self._last,
            "change": change or self._last,
            "kind": kind,
            "time": self.time,
            "undone": undone,
            "lesson": self._last if kind == "teach" else lesson,
            "source_hash": source_hash(pair.source),
            "folded": "\n".join((pair.source, pair.target, pair.note)).casefold(),
            **texts,
        })  # fmt: skip
        return self._last

    def going_on(self, change: int | None) -> int | None:
        """Return a change that still counts, or None."""
        undone = sa.select(sa.exists().where(EVENTS.c.undone == change))
        return None if change is None or self.connection.scalar(undone) else change

    def write(self) -> None:
        """Write the new events, all of them by one statement."""
        if self._new:
            self.connection.execute(sa.insert(EVENTS), self._new)
            self._new = []

    def current(self, ids: Sequence[int]) -> list[Lesson]:
        """Return the current state of lessons.

        Raises:
            UnknownLesson: if one of them is not taught, or no longer.
        """
        found: dict[int, Lesson] = {}
        possible = [lesson for lesson in ids if 0 < lesson < NO_LESSON]
        for first in range(0, len(possible), AT_ONCE):
            some = EVENTS.c.lesson.in_(possible[first : first + AT_ONCE])
            rows = self.connection.execute(current().where(some))
            found |= {row.lesson: lesson_of(row) for row in rows}
        for lesson in ids:
            if lesson not in found:
                raise UnknownLesson(
                    f"{self.place}: there is no lesson {lesson}, or it was forgotten; see "
                    "`lessons` for what is taught and `history` for what was"
                )
        return [found[lesson] for lesson in ids]

    def remember(self, lessons: Sequence[Lesson], decodings: Decodings | None) -> None:
        """Store what a model needs for lessons."""
        if decodings is None or not lessons:
            return
        rows = [
            {"event": lesson.version, "fingerprint": decodings.fingerprint, "data": data}
            for lesson, data in zip(lessons, decodings.data, strict=True)
        ]
        self.connection.execute(sa.insert(DECODINGS), rows)


def counts(events: Any) -> sa.ColumnElement[bool]:
    """Return the condition that an event was not undone."""
    undo = EVENTS.alias()
    return ~sa.exists().where(undo.c.undone == events.c.change)


@functools.cache  # it takes longer to build than to run
def current() -> sa.Select:
    """Return the query for all current lessons: the last event of each that counts."""
    later = EVENTS.alias()
    replaced = sa.exists().where(
        later.c.lesson == EVENTS.c.lesson, later.c.number > EVENTS.c.number, counts(later)
    )
    return sa.select(EVENTS).where(EVENTS.c.kind.in_(["teach", "edit"]), counts(EVENTS), ~replaced)


def conditions(selection: Selection) -> Iterator[sa.ColumnElement[bool]]:
    """Yield the conditions of a selection."""
    if any(NOWHERE.search(getattr(selection, field.name) or "") for field in fields(Selection)):
        yield sa.false()
        return
    if selection.search is not None:
        yield EVENTS.c.folded.contains(selection.search.casefold(), autoescape=True)
    for name in ("origin", "author"):
        if getattr(selection, name) is not None:
            yield EVENTS.c[name] == getattr(selection, name)
    if selection.since is not None:
        yield EVENTS.c.time >= selection.since
    if selection.before is not None:
        yield EVENTS.c.time < selection.before


def changes(
    connection: sa.Connection, which: sa.ColumnElement[bool], limit: int | None = None
) -> Iterator[Change]:
    """Yield changes, newest first."""
    part, undo = EVENTS.alias(), EVENTS.alias()
    lessons = sa.select(sa.func.count(part.c.lesson)).where(part.c.change == EVENTS.c.number)
    undone = sa.exists().where(undo.c.undone == EVENTS.c.number)
    query = sa.select(EVENTS, lessons.scalar_subquery().label("lessons"), undone.label("gone"))
    first = query.where(EVENTS.c.change == EVENTS.c.number, which)
    for row in connection.execute(first.order_by(EVENTS.c.number.desc()).limit(limit)):
        yield Change(
            number=row.number,
            kind=row.kind,
            time=row.time,
            lessons=row.lessons,
            source=row.source,
            target=row.target,
            origin=row.origin,
            author=row.author,
            undone=row.gone,
            undid=row.undone,
        )


def lesson_of(row: Any) -> Lesson:
    """Return the lesson of a row of :func:`current`."""
    texts = {name: getattr(row, name) for name in TEXTS}
    return Lesson(id=row.lesson, version=row.number, changed=row.time, **texts)


def source_hash(source: str) -> int:
    """Return 63 bits that represent a source."""
    return int.from_bytes(hashlib.blake2b(source.encode(), digest_size=8).digest()) >> 1


def connect(place: Path | str) -> sa.Engine:
    """Return the engine of a database; a change is on the disk when its transaction ends.

    Only a transaction with the execution option ``writes`` writes, and only one at a time.
    """
    engine = _postgresql(str(place)) if "://" in str(place) else _sqlite(place)

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
        elif writes:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")

    return engine


def _postgresql(place: str) -> sa.Engine:
    url = sa.make_url(place)
    if url.get_backend_name() != "postgresql":
        raise ValueError(f"{url.get_backend_name()} is not supported, only postgresql")
    return sa.create_engine(url.set(drivername="postgresql+psycopg"))


def _sqlite(place: Path | str) -> sa.Engine:
    url = sa.URL.create("sqlite", database=str(place))
    engine = sa.create_engine(url, connect_args={"timeout": WAIT})

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin above only
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    return engine
