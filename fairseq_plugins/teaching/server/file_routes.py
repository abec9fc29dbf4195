"""Import and export of lessons over HTTP, in files of other programs."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from fairseq_plugins.teaching.server.guard import RefusedError
from fairseq_plugins.teaching.server.importing import Import, Progress
from fairseq_plugins.teaching.server.lesson_routes import Selected
from fairseq_plugins.teaching.server.limits import LONGEST_FIELD
from fairseq_plugins.teaching.server.service import Served

router = APIRouter(tags=["Files"])

CHUNK = 1 << 16  # bytes
LINES = (
    "application/x-ndjson"  # clients that accept this get the progress of an import, line by line
)
TYPES = {
    "tmx": "application/x-tmx+xml",
    "tsv": "text/tab-separated-values; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "jsonl": LINES,
}
ANY_FILE = {"content": {"application/octet-stream": {"schema": {"type": "string"}}}}
FileName = Annotated[
    str, Query(max_length=LONGEST_FIELD, description="Its suffix determines the format.")
]
Origin = Annotated[
    str | None, Query(max_length=LONGEST_FIELD, description="By default, that in the file.")
]
KeepGoing = Annotated[bool, Query(description="Import the readable part of a file with errors.")]


@router.post(
    "/lessons/import",
    summary="Teach the contents of a file, as one change",
    response_model=Progress,
    openapi_extra={"requestBody": {"required": True, **ANY_FILE}},
)
async def import_file(
    served: Served,
    request: Request,
    name: FileName,
    origin: Origin = None,
    keep_going: KeepGoing = False,
) -> Response:
    """The body is the file. A file with an error changes nothing.

    With `Accept: application/x-ndjson` the answer is a line of JSON after each part. An import
    continues when its client disconnects.
    """
    if served.importing is not None and not served.importing.done():
        raise RefusedError(409, "another file is being imported; wait for it", {"Retry-After": "5"})
    importing = Import(served, request.stream(), name, origin, keep_going)
    served.importing = importing.task
    news = importing.progress()
    first = await anext(news)
    if LINES in request.headers.get("accept", ""):
        return StreamingResponse(_lines(first, news), media_type=LINES)
    last = [first, *[one async for one in news]][-1]
    return Response(last.model_dump_json(), media_type="application/json")


async def _lines(first: Progress, news: AsyncIterator[Progress]) -> AsyncIterator[str]:
    yield first.model_dump_json() + "\n"
    async for one in news:
        yield one.model_dump_json() + "\n"


@router.get(
    "/lessons/export",
    summary="Return lessons as a file for other programs",
    response_class=StreamingResponse,
    responses={200: ANY_FILE},
)
async def export_file(
    served: Served, selected: Selected, format: Literal["tmx", "tsv", "csv", "jsonl"] = "tmx"
) -> StreamingResponse:
    """`POST /lessons/import` reads the file as the same lessons. All filters apply."""
    folder = tempfile.TemporaryDirectory(prefix="fairseq-memory-")
    path = Path(folder.name, f"lessons.{format}")
    await run_in_threadpool(served.translator.export_file, path, selected)
    headers = {
        "Content-Disposition": f'attachment; filename="{path.name}"',
        "Content-Length": str(path.stat().st_size),
    }
    return StreamingResponse(_content(path, folder), media_type=TYPES[format], headers=headers)


def _content(path: Path, folder: tempfile.TemporaryDirectory) -> Iterator[bytes]:
    """Yield the bytes of a file; remove its folder at the end, or if the client disconnects."""
    with folder, path.open("rb") as file:
        while some := file.read(CHUNK):
            yield some
