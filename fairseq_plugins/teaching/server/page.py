"""The page, its parts, and the description of the API: read once, the same for everybody."""

import hashlib
import mimetypes
from dataclasses import dataclass
from importlib import resources
from typing import Annotated

from fastapi import APIRouter, FastAPI, Header, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from fairseq_plugins.teaching.entries import main_code
from fairseq_plugins.teaching.exchange import SUFFIXES
from fairseq_plugins.teaching.server.languages import name_of
from fairseq_plugins.teaching.server.limits import LONGEST_TEXT
from fairseq_plugins.teaching.server.service import Service

router = APIRouter(include_in_schema=False)
TEMPLATES = Environment(
    loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined,
    trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip


@dataclass(frozen=True)
class Asset:
    """A part of the page."""

    content: bytes
    type: str
    tag: str
    """Browsers compare it, to download the part again only if it has changed."""


def _assets() -> dict[str, Asset]:
    """Return the parts by name; no other names are looked up."""
    found = {}
    for file in (resources.files(__package__) / "static").iterdir():
        content = file.read_bytes()
        type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        found[file.name] = Asset(content, type, tag)
    return found


ASSETS = _assets()


def _with_code(text: str) -> Markup:
    """Format text between backticks as code."""
    parts = text.split("`")
    return Markup().join(
        Markup("<code>{}</code>").format(part) if number % 2 else part
        for number, part in enumerate(parts)
    )


TEMPLATES.filters["with_code"] = _with_code


def render_page(served: Service) -> str:
    """Return the page, without lessons."""
    source, target = served.translator.languages
    return TEMPLATES.get_template("page.html").render(
        source=source,
        target=target,
        source_code=main_code(source),
        target_code=main_code(target),
        source_name=name_of(source),
        target_name=name_of(target),
        suffixes=SUFFIXES,
        longest=LONGEST_TEXT,
        token=served.token.needed,
    )


def render_docs(app: FastAPI) -> str:
    """Return the description of the API as a page without external parts."""
    return TEMPLATES.get_template("docs.html").render(api=app.openapi())


@router.get("/")
async def page(request: Request) -> HTMLResponse:
    """The page for translators."""
    return HTMLResponse(request.app.state.page)


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """The description of the API for people."""
    return HTMLResponse(request.app.state.docs)


@router.get("/static/{name}")
async def asset(name: str, if_none_match: Annotated[str | None, Header()] = None) -> Response:
    """A part of the page."""
    found = ASSETS.get(name)
    if found is None:
        raise HTTPException(404)
    headers = {"ETag": found.tag, "Cache-Control": "no-cache"}
    if if_none_match == found.tag:
        return Response(status_code=304, headers=headers)
    return Response(found.content, media_type=found.type, headers=headers)
