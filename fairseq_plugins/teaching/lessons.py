"""What people teach, and filters to find it again."""

from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import TypeVar

from fairseq_plugins.errors import InputError
from fairseq_plugins.teaching.text import normalise

TIME = "%Y-%m-%dT%H:%M:%SZ"  # of lessons, in UTC


class UnknownLesson(InputError):
    """The lesson is not taught, or no longer."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A sentence or term with its translation and origin."""

    source: str
    target: str
    origin: str = ""
    """File, termbase or person that it comes from."""
    note: str = ""
    author: str = ""
    unit: str = ""
    """Id in the file that it was imported from."""
    created: str = ""
    """Time when it was first taught, in UTC, as ``2030-12-31T23:59:59Z``."""


@dataclass(frozen=True, kw_only=True)
class Lesson(Pair):
    """A pair that is taught."""

    id: int
    """Number of the event that taught it; never used again."""
    version: int
    """Number of its last event; the greater one of two lessons is newer."""
    changed: str
    """Time of its last event."""
    now: str | None = None
    """Translation of the source by network and memory alone; None if not computed."""
    came_through: bool | None = None
    """Whether ``now`` contains the lesson's target."""
    contradicts: tuple["Lesson", ...] = ()
    """Older lessons with this source and another target; they apply if this one is forgotten."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """A selection of lessons: those that match all given filters.

    Raises:
        InputError: if a time is invalid.
    """

    search: str | None = None
    """Text within source, target or note, ignoring case."""
    origin: str | None = None
    author: str | None = None
    since: str | None = None
    """Changed at this time or later, in UTC: a date, or a date and a time, in ISO 8601."""
    before: str | None = None
    """Changed before this time."""

    def __post_init__(self) -> None:
        for name in ("since", "before"):
            if (time := getattr(self, name)) is not None:
                object.__setattr__(self, name, _in_utc(name, time))

    @property
    def everything(self) -> bool:
        """Whether there is no filter, so that every lesson is selected."""
        return all(getattr(self, field.name) is None for field in fields(self))


EVERYTHING = Selection()


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change to the lessons that is made, and can be undone, as a whole."""

    number: int
    """Number of its first event."""
    kind: str
    """``teach``, ``edit``, ``forget`` or ``undo``."""
    time: str
    lessons: int
    """Number of lessons that it affects."""
    source: str
    target: str
    """Source of the first lesson after teaching or editing; before forgetting."""
    origin: str
    author: str
    undone: bool
    """Whether it was undone."""
    undid: int | None
    """Number of the change that an ``undo`` took back; None for other changes."""


AnyPair = TypeVar("AnyPair", bound=Pair)


def normalised(pair: AnyPair) -> AnyPair:
    """Return a pair with normalised texts."""
    texts = ("source", "target", "origin", "note", "author", "unit")
    return replace(pair, **{name: normalise(getattr(pair, name)) for name in texts})


def _in_utc(name: str, time: str) -> str:
    """Return a time in the form of lessons; one without a time zone is in UTC."""
    try:
        given = datetime.fromisoformat(time)
        return given.replace(tzinfo=given.tzinfo or UTC).astimezone(UTC).strftime(TIME)
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{name} {time!r}: is no time; write 2030-12-31, or 2030-12-31T23:59:59Z"
        ) from error
