"""The journal of lessons: numbered events in a database that only ever grows.

An event records that a lesson was taught, edited or forgotten, or that a change was undone. A
change is a group of events that belong together, such as an import. What is taught now follows from
the events: for each lesson, the last event that was not undone. Nothing else stores it, so nothing
can contradict the events, and every process that has the journal open sees what others add.

The queries by which a memory remembers a lesson are stored beside its event, one set for each
fingerprint of a model. They follow from the event, and are stored so that they need not be computed
again.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from fairseq_plugins.errors import InputError
from fairseq_plugins.teaching.journal_tables import (
    ABOUT,
    AT_ONCE,
    DECODINGS,
    EVENTS,
    LAYOUT,
    METADATA,
    Decodings,
    Events,
    changes,
    conditions,
    connect,
    counts,
    current,
    lesson_of,
    source_hash,
)
from fairseq_plugins.teaching.lessons import EVERYTHING, Change, Lesson, Pair, Selection


class Journal:
    """The lessons of a database.

    Args:
        place: an SQLite file, created if it does not exist, or a URL like ``postgresql://...``.

    Raises:
        InputError: if it is not a journal, or cannot be opened.
    """

    def __init__(self, place: Path | str) -> None:
        self.place = place
        try:
            self._engine = connect(place)
            with self._engine.execution_options(writes=True).begin() as connection:
                METADATA.create_all(connection)
                layout = connection.scalar(sa.select(ABOUT.c.layout))
                if layout is None:
                    connection.execute(sa.insert(ABOUT).values(layout=LAYOUT))
        except (sa.exc.SQLAlchemyError, ModuleNotFoundError, ValueError) as error:
            raise InputError(
                f"{place}: cannot be opened as a journal of lessons ({_reason(error)}); its folder "
                "must be writable and have space left; `lessons` in translator.json may name a "
                "file elsewhere, or a PostgreSQL database (needs `pip install "
                "fairseq-memory[postgres]`)"
            ) from error
        if layout not in (None, LAYOUT):
            raise InputError(
                f"{place}: is a journal with layout {layout}, but this program knows only "
                f"{LAYOUT}; use a newer version"
            )

    def close(self) -> None:
        """Close the database. Everything is already on the disk."""
        self._engine.dispose()

    def __enter__(self) -> "Journal":
        """Return the journal, for a with statement."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the journal."""
        self.close()

    # --- Changing -----------------------------------------------------------------------------

    def teach(
        self,
        pairs: Sequence[Pair],
        decodings: Decodings | None = None,
        change: int | None = None,
    ) -> tuple[list[Lesson], int | None]:
        """Add lessons, all of them or none.

        Args:
            pairs: to teach.
            decodings: what a model stores for them.
            change: number of their change, for lessons that are taught in parts; a new one is begun
                if it was undone in the meantime, or if none is given.

        Returns:
            The lessons, and the number of their change. Both are on the disk.
        """
        with self._writing() as events:
            change = events.going_on(change)
            lessons = []
            for pair in pairs:
                pair = replace(pair, created=pair.created or events.time)
                number = events.append("teach", change, pair)
                change = change or number
                lessons.append(Lesson(id=number, version=number, changed=events.time, **vars(pair)))
            events.remember(lessons, decodings)
        return lessons, change

    def edit(self, lesson: Lesson, decodings: Decodings | None = None) -> Lesson:
        """Replace the texts of a lesson, which keeps its id.

        Args:
            lesson: with its new texts.
            decodings: what a model stores for it.

        Raises:
            InputError: if it is not taught, or no longer.
        """
        with self._writing() as events:
            events.current([lesson.id])
            number = events.append("edit", None, lesson, lesson.id)
            edited = replace(lesson, version=number, changed=events.time)
            events.remember([edited], decodings)
        return edited

    def forget(self, ids: Sequence[int]) -> None:
        """Forget lessons, all of them or none.

        Raises:
            InputError: if one of them is not taught, or no longer.
        """
        with self._writing() as events:
            change = None
            for lesson in events.current(list(dict.fromkeys(ids))):
                number = events.append("forget", change, lesson, lesson.id)
                change = change or number

    def undo(self) -> Change:
        """Undo the last change that has not been undone yet.

        Returns:
            The change that was undone.

        Raises:
            InputError: if there is nothing to undo.
        """
        with self._writing() as events:
            last = sa.select(sa.func.max(EVENTS.c.change)).where(
                EVENTS.c.kind != "undo", counts(EVENTS)
            )
            change = events.connection.scalar(last)
            if change is None:
                raise InputError(f"{self.place}: there is no change left to undo")
            done = next(changes(events.connection, EVENTS.c.change == change))
            pair = Pair(**{name: getattr(done, name) for name in ("source", "target", "origin")})
            events.append("undo", None, pair, undone=change)
        return replace(done, undone=True)

    # --- Reading ------------------------------------------------------------------------------

    def lesson(self, lesson: int) -> Lesson:
        """Return a lesson by its id.

        Raises:
            InputError: if it is not taught, or no longer.
        """
        with self._reading() as connection:
            return Events(self.place, connection).current([lesson])[0]

    def lessons(
        self,
        selection: Selection = EVERYTHING,
        limit: int | None = None,
        offset: int = 0,
        oldest_first: bool = False,
    ) -> Iterator[Lesson]:
        """Yield lessons, newest first by default.

        Args:
            selection: which lessons.
            limit: greatest number of lessons.
            offset: number of lessons to skip first.
            oldest_first: whether to reverse the order.
        """
        order = EVENTS.c.number if oldest_first else EVENTS.c.number.desc()
        query = current().where(*conditions(selection)).order_by(order)
        with self._reading() as connection:
            for row in connection.execution_options(yield_per=AT_ONCE).execute(
                query.limit(limit).offset(offset)
            ):
                yield lesson_of(row)

    def count(self, selection: Selection = EVERYTHING) -> int:
        """Return the number of lessons."""
        with self._reading() as connection:
            chosen = current().where(*conditions(selection)).subquery()
            return connection.scalar(sa.select(sa.func.count()).select_from(chosen)) or 0

    def of_source(self, source: str) -> list[Lesson]:
        """Return the lessons of a source, newest first: the first one is its translation."""
        query = current().where(
            EVENTS.c.source_hash == source_hash(source), EVENTS.c.source == source
        )
        with self._reading() as connection:
            rows = connection.execute(query.order_by(EVENTS.c.number.desc()))
            return [lesson_of(row) for row in rows]

    def contradictions(self) -> Iterator[tuple[Lesson, Lesson]]:
        """Yield lessons of one source with two targets: the newer, then the older."""
        taught = current().subquery()
        contested = (
            sa.select(taught.c.source)
            .group_by(taught.c.source_hash, taught.c.source)
            .having(sa.func.count(taught.c.target.distinct()) > 1)
            .order_by(taught.c.source)
        )
        with self._reading() as connection:
            sources = connection.scalars(contested).all()
        for source in sources:
            newest, *others = self.of_source(source)
            for older in others:
                if older.target != newest.target:
                    yield newest, older

    def history(self, limit: int | None = None, before: int | None = None) -> Iterator[Change]:
        """Yield all changes, newest first; with ``before``, those with a smaller number."""
        older = sa.true() if before is None else EVENTS.c.number < before
        with self._reading() as connection:
            yield from changes(connection, older, limit)

    def since(self, seen: int) -> tuple[int, dict[str, Lesson | None]]:
        """Return what is new since an event.

        Args:
            seen: its number; 0 for all.

        Returns:
            The number of the last event, and for every source that was affected the lesson that now
                applies, the newest, or None.
        """
        new = EVENTS.c.number > seen
        taken_back = sa.select(EVENTS.c.undone).where(new, EVENTS.c.undone.is_not(None))
        concerned = sa.select(EVENTS.c.lesson).where(
            EVENTS.c.lesson.is_not(None), new | EVENTS.c.change.in_(taken_back)
        )
        hashes = sa.select(EVENTS.c.source_hash).where(EVENTS.c.lesson.in_(concerned))
        ours = EVENTS.c.source_hash.in_(hashes)
        with self._reading() as connection:
            last = connection.scalar(sa.select(sa.func.max(EVENTS.c.number))) or 0
            if last == seen:
                return seen, {}
            sources = connection.scalars(sa.select(EVENTS.c.source).where(ours).distinct())
            holds: dict[str, Lesson | None] = dict.fromkeys(sources)
            for row in connection.execute(current().where(ours).order_by(EVENTS.c.number)):
                holds[row.source] = lesson_of(row)
        return last, holds

    def decodings(self, versions: Sequence[int], fingerprint: str) -> Iterator[tuple[int, bytes]]:
        """Yield what a model stores for lessons, where it is known.

        Args:
            versions: of the lessons.
            fingerprint: of the model.
        """
        columns = DECODINGS.c.event, DECODINGS.c.data
        of_model = sa.select(*columns).where(DECODINGS.c.fingerprint == fingerprint)
        with self._reading() as connection:
            for first in range(0, len(versions), AT_ONCE):
                some = DECODINGS.c.event.in_(versions[first : first + AT_ONCE])
                yield from connection.execute(of_model.where(some)).tuples()

    def remember(self, lessons: Sequence[Lesson], decodings: Decodings) -> None:
        """Store what a model needs for a few lessons that were taught to another one."""
        versions = [lesson.version for lesson in lessons]
        known = sa.select(DECODINGS.c.event).where(
            DECODINGS.c.fingerprint == decodings.fingerprint, DECODINGS.c.event.in_(versions)
        )
        with self._writing() as events:
            there = set(events.connection.scalars(known))
            pairs = zip(lessons, decodings.data, strict=True)
            missing = [(lesson, data) for lesson, data in pairs if lesson.version not in there]
            if missing:
                rest, data = zip(*missing, strict=True)
                events.remember(rest, Decodings(decodings.fingerprint, data))

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        """Connect for reading the current events."""
        with self._refusals("read"), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Events]:
        """Add events while no other process does, and add all of them at the end, or none."""
        engine = self._engine.execution_options(writes=True)
        with self._refusals("written to, and was not changed"), engine.begin() as connection:
            events = Events(self.place, connection)
            yield events
            events.write()

    @contextmanager
    def _refusals(self, what: str) -> Iterator[None]:
        """Report errors of the database in one line."""
        try:
            yield
        except (sa.exc.DBAPIError, OverflowError) as error:
            raise InputError(f"{self.place}: cannot be {what} ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    """Return a database's error in one line."""
    return " ".join(str(getattr(error, "orig", None) or error).split())
