"""The server's application: routes, error responses, and the guard in front of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp

from fairseq_plugins.errors import InputError
from fairseq_plugins.teaching.lessons import UnknownLesson
from fairseq_plugins.teaching.server import (
    file_routes,
    lesson_routes,
    page,
    translation_routes,
)
from fairseq_plugins.teaching.server.guard import Guard, RefusedError, Token
from fairseq_plugins.teaching.server.service import Served, Service
from fairseq_plugins.teaching.server.worker import BusyError
from fairseq_plugins.teaching.translator import Translator

ABOUT = """Translate, teach and explain.

Every error is an object with one text, `error`. If the server has a token, every request needs the
header `Authorization: Bearer TOKEN`; for `/translate`, the parameter `api_key` will do as well.
"""


class Health(BaseModel):
    """Status of the server."""

    status: str
    waiting: int
    """Requests that wait for the translator."""


def build(translator: Translator, token: str | None = None) -> tuple[ASGIApp, Service]:
    """Build the application for a translator.

    Args:
        translator: to serve; it is closed when the application ends.
        token: that clients must know; None to serve this machine only.

    Returns:
        The application, behind its guard, and the service that its routes share.
    """
    served = Service(translator, Token(token))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await served.close()

    app = FastAPI(
        title="fairseq-memory", version="1", description=ABOUT, lifespan=lifespan,
        docs_url=None, redoc_url=None, redirect_slashes=False,
    )  # fmt: skip
    app.state.service = served
    for part in (translation_routes, lesson_routes, file_routes, page):
        app.include_router(part.router)
    app.add_api_route("/health", health, summary="Return the status of the server", tags=["Server"])
    app.state.page, app.state.docs = page.render_page(served), page.render_docs(app)
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
    return Guard(app, served.token), served


async def health(served: Served) -> Health:
    """The server answers as long as it accepts requests, whatever the translator is doing."""
    return Health(status="ok", waiting=served.work.waiting)


def _answer(status: int, reason: str, **headers: str) -> JSONResponse:
    return JSONResponse({"error": reason}, status, headers)


async def _mistake(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, InputError)
    status = 404 if isinstance(error, UnknownLesson) else 400
    return _answer(status, request.app.state.service.told(error))


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
    return _answer(400, f"{place or 'the body'}: {first['msg']}")


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RefusedError)
    return error.response()


async def _busy(_: Request, __: Exception) -> JSONResponse:
    return _answer(503, "too many requests are waiting; try again later", **{"Retry-After": "5"})


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _gone(_: Request, __: Exception) -> JSONResponse:
    return _answer(400, "the client disconnected")


async def _ours(_: Request, __: Exception) -> JSONResponse:
    return _answer(500, "internal error of the server; see its log")


HANDLERS = {
    InputError: _mistake,
    RequestValidationError: _invalid,
    RefusedError: _refused,
    BusyError: _busy,
    HTTPException: _http,
    ClientDisconnect: _gone,
    Exception: _ours,
}
