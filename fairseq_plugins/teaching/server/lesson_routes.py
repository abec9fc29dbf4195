"""Lessons over HTTP: taught, listed, edited, forgotten; what was done, and taken back."""

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
Filter = Annotated[str | None, Query(max_length=LONGEST_FIELD)]  # an empty one means nothing
Shown = Annotated[int, Query(ge=1, le=MOST_SHOWN)]
LessonId = Annotated[int, Field(ge=1, lt=1 << 31)]


class NewLesson(BaseModel):
    """What is to be taught."""

    model_config = ConfigDict(extra="forbid")

    source: Text = Field(description="Sentence or term.", examples=["The cat sleeps."])
    target: Text = Field(description="Its translation.", examples=["Die Katze schläft."])
    origin: Short = Field("", description="Where it comes from.", examples=["termbase"])
    note: Text = Field("", description="For people.")
    author: Short = Field("", description="Who teaches it.")


class Edit(BaseModel):
    """What is to be changed of a lesson; the rest stays."""

    model_config = ConfigDict(extra="forbid")

    source: Text | None = None
    target: Text | None = None
    origin: Short | None = None
    note: Text | None = None
    author: Short | None = None


class Lessons(BaseModel):
    """Some of the lessons that are meant."""

    lessons: list[Lesson]
    total: int = Field(description="How many are meant.")


class Forgotten(BaseModel):
    """How many lessons are forgotten."""

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
    """It is on disk when this answers. What is taught already is not taught again."""
    return await served.work(served.translator.teach, **lesson.model_dump())


@router.delete("/lessons", summary="Forget many lessons at once")
async def forget_all(
    served: Served, selected: Selected, dry_run: Annotated[bool, Query()] = False
) -> Forgotten:
    """At least one filter is needed. With `dry_run` it only says how many are meant."""
    if selected.everything:
        raise InputError("say which lessons are to be forgotten: search, origin, author or time")
    forget = served.translator.forget_all
    return Forgotten(lessons=await served.work(forget, selected, dry_run))


@router.get("/lessons/{id:int}", summary="Show a lesson")
async def lesson(served: Served, id: LessonId) -> Lesson:
    """Its id never changes, and is never given to another one."""
    return await run_in_threadpool(served.translator.lesson, id)


@router.put("/lessons/{id:int}", summary="Correct a lesson")
async def edit(served: Served, id: LessonId, changes: Edit) -> Lesson:
    """What is not given stays as it is."""
    given: dict[str, Any] = changes.model_dump(exclude_none=True)
    return await served.work(served.translator.edit, id, **given)


@router.delete("/lessons/{id:int}", summary="Forget a lesson")
async def forget(served: Served, id: LessonId) -> Forgotten:
    """The memory is then as if it had never been taught."""
    await served.work(served.translator.forget, id)
    return Forgotten(lessons=1)


@router.post("/undo", summary="Take back the last change, whatever it was")
async def undo(served: Served) -> Change:
    """Called again, it takes back the one before. An import is one change."""
    return await served.work(served.translator.undo)


@router.get("/history", summary="List every change ever made, newest first")
async def history(
    served: Served,
    limit: Shown = 50,
    before: Annotated[int | None, Query(ge=1, lt=1 << 31)] = None,
) -> History:
    """With `before`, only changes with a smaller number."""
    return History(changes=await run_in_threadpool(served.translator.history, limit, before))
