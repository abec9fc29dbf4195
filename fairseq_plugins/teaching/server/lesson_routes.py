"""Lessons over HTTP: teach, list, edit, forget, undo, history."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from fairseq_plugins.errors import InputError
from fairseq_plugins.teaching.lessons import Change, Lesson, Selection
from fairseq_plugins.teaching.server.limits import LONGEST_FIELD, LONGEST_TEXT, MOST_SHOWN
from fairseq_plugins.teaching.server.service import Served

router = APIRouter(tags=["Lessons"])

Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Short = Annotated[str, Field(max_length=LONGEST_FIELD)]
Filter = Annotated[str | None, Query(max_length=LONGEST_FIELD)]  # an empty one is ignored
Shown = Annotated[int, Query(ge=1, le=MOST_SHOWN)]
LessonId = Annotated[int, Field(ge=1, lt=1 << 31)]


class NewLesson(BaseModel):
    """A lesson to teach."""

    model_config = ConfigDict(extra="forbid")

    source: Text = Field(description="Sentence or term.", examples=["The cat sleeps."])
    target: Text = Field(description="Its translation.", examples=["Die Katze schläft."])
    origin: Short = Field("", description="Where it comes from.", examples=["termbase"])
    note: Text = Field("", description="Comment for people.")
    author: Short = Field("", description="Name of the teacher.")


class Edit(BaseModel):
    """Changes to a lesson; fields without a value stay the same."""

    model_config = ConfigDict(extra="forbid")

    source: Text | None = None
    target: Text | None = None
    origin: Short | None = None
    note: Text | None = None
    author: Short | None = None


class Lessons(BaseModel):
    """Some of the selected lessons."""

    lessons: list[Lesson]
    total: int = Field(description="Number of selected lessons.")


class Forgotten(BaseModel):
    """Number of forgotten lessons."""

    lessons: int


class History(BaseModel):
    """Some of the changes, newest first."""

    changes: list[Change]


def _selection(
    search: Filter = None,
    origin: Filter = None,
    author: Filter = None,
    since: Filter = None,
    before: Filter = None,
) -> Selection:
    return Selection(
        search=search or None, origin=origin or None, author=author or None,
        since=since or None, before=before or None,
    )  # fmt: skip


Selected = Annotated[Selection, Depends(_selection)]


@router.get("/lessons", summary="List lessons, newest first")
async def lessons(
    served: Served,
    selected: Selected,
    limit: Shown = 50,
    offset: Annotated[int, Query(ge=0, lt=1 << 31)] = 0,
) -> Lessons:
    """All filters apply: text in source, target or note, origin, author, time of last change."""

    def find() -> Lessons:
        found = served.translator.lessons(selected, limit, offset)
        return Lessons(lessons=found, total=served.translator.count(selected))

    return await run_in_threadpool(find)


@router.post("/lessons", summary="Teach a pair, which the next translation uses", status_code=201)
async def teach(served: Served, lesson: NewLesson) -> Lesson:
    """The lesson is on the disk when this answers. A known lesson is not taught again."""
    return await served.work(served.translator.teach, **lesson.model_dump())


@router.delete("/lessons", summary="Forget many lessons at once")
async def forget_all(
    served: Served, selected: Selected, dry_run: Annotated[bool, Query()] = False
) -> Forgotten:
    """At least one filter is needed. With `dry_run`, it only counts the selected lessons."""
    if selected.everything:
        raise InputError("select the lessons to forget: by search, origin, author or time")
    forget = served.translator.forget_all
    return Forgotten(lessons=await served.work(forget, selected, dry_run))


@router.get("/lessons/{id:int}", summary="Show a lesson")
async def lesson(served: Served, id: LessonId) -> Lesson:
    """Its id never changes, and is never reused."""
    return await run_in_threadpool(served.translator.lesson, id)


@router.put("/lessons/{id:int}", summary="Correct a lesson")
async def edit(served: Served, id: LessonId, changes: Edit) -> Lesson:
    """Fields without a value stay the same."""
    given: dict[str, Any] = changes.model_dump(exclude_none=True)
    return await served.work(served.translator.edit, id, **given)


@router.delete("/lessons/{id:int}", summary="Forget a lesson")
async def forget(served: Served, id: LessonId) -> Forgotten:
    """Afterwards the memory is as if it had never been taught."""
    await served.work(served.translator.forget, id)
    return Forgotten(lessons=1)


@router.post("/undo", summary="Undo the last change, whatever it was")
async def undo(served: Served) -> Change:
    """The next call undoes the change before. An import is one change."""
    return await served.work(served.translator.undo)


@router.get("/history", summary="List every change ever made, newest first")
async def history(
    served: Served,
    limit: Shown = 50,
    before: Annotated[int | None, Query(ge=1, lt=1 << 31)] = None,
) -> History:
    """List changes, newest first; with `before`, only those with a smaller number."""
    return History(changes=await run_in_threadpool(served.translator.history, limit, before))
