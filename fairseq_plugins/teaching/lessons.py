"""What people teach, and the filters by which they find it again."""

from dataclasses import dataclass, fields
from datetime import UTC, datetime

from fairseq_plugins.errors import InputError

TIME = "%Y-%m-%dT%H:%M:%SZ"  # of lessons, in UTC


class UnknownLesson(InputError):
    """A lesson that is not taught, or not any more."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A sentence or term with its translation, and where it comes from."""

    source: str
    target: str
    origin: str = ""
    """The file, termbase or person it comes from."""
    note: str = ""
    author: str = ""
    unit: str = ""
    """Its id in the file that it was imported from."""
    created: str = ""
    """When it was first taught, in UTC, as ``2030-12-31T23:59:59Z``."""


@dataclass(frozen=True, kw_only=True)
class Lesson(Pair):
    """A pair that is taught."""

    id: int
    """Number of the event that taught it: never used again, whatever is forgotten."""
    version: int
    """Number of the event that made it what it is: of two lessons, the greater one is newer."""
    changed: str
    """When that was."""
    now: str | None = None
    """What network and memory alone translate the source to; None if nobody asked."""
    came_through: bool | None = None
    """Whether the lesson's target is in ``now``."""
    contradicts: tuple["Lesson", ...] = ()
    """Older lessons with this source and another target: they wait until this one is forgotten."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which lessons are meant: those to which all that is given applies.

    Raises:
        InputError: if a time is none.
    """

    search: str | None = None
    """Text within source, target or note, in capitals or not."""
    origin: str | None = None
    author: str | None = None
    since: str | None = None
    """Changed at this time or later, in UTC: a date, or a date and a time, of ISO 8601."""
    before: str | None = None
    """Changed earlier than this."""

    def __post_init__(self) -> None:
        for name in ("since", "before"):
            if (time := getattr(self, name)) is not None:
                object.__setattr__(self, name, _in_utc(name, time))

    @property
    def everything(self) -> bool:
        """Nothing is given, so that every lesson is meant."""
        return all(getattr(self, field.name) is None for field in fields(self))


EVERYTHING = Selection()


@dataclass(frozen=True, kw_only=True)
class Change:
    """Something that was done to the lessons in one go, and can be taken back in one go."""

    number: int
    """Of its first event."""
    kind: str
    """``teach``, ``edit``, ``forget`` or ``undo``."""
    time: str
    lessons: int
    """How many it concerns."""
    source: str
    target: str
    """Of the first lesson, as it was taught or edited; as it was before, if it was forgotten."""
    origin: str
    author: str
    undone: bool
    """Whether it was taken back."""
    undid: int | None
    """For ``undo``: number of the change that it took back."""


def _in_utc(name: str, time: str) -> str:
    """A time as lessons have it; one without a time zone is in UTC."""
    try:
        given = datetime.fromisoformat(time)
        return given.replace(tzinfo=given.tzinfo or UTC).astimezone(UTC).strftime(TIME)
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{name} {time!r}: is no time; write 2030-12-31, or 2030-12-31T23:59:59Z"
        ) from error
