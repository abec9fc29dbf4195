"""Translations over HTTP, as in LibreTranslate, and explanations of each word."""

from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from fairseq_plugins.errors import InputError
from fairseq_plugins.teaching.entries import main_code
from fairseq_plugins.teaching.server.guard import bearer
from fairseq_plugins.teaching.server.languages import Detected, detect, name_of
from fairseq_plugins.teaching.server.limits import LONGEST_TEXT, MOST_TEXTS, WIDEST_BEAM
from fairseq_plugins.teaching.server.service import Served, Service
from fairseq_plugins.teaching.translation import Translation

router = APIRouter(tags=["Translation"])

AUTO = "auto"
Text = Annotated[str, Field(max_length=LONGEST_TEXT)]


class Wanted(BaseModel):
    """A text to translate; other fields of LibreTranslate's clients are ignored."""

    q: Text | list[Text] = Field(description="One text or several.", examples=["The cat sleeps."])
    source: str = Field(AUTO, description="Language, or `auto`.", examples=["en"])
    target: str = Field(description="Language.", examples=["de"])
    format: Literal["text", "html"] = Field(
        "text", description="Tags are preserved in both formats."
    )
    api_key: str | None = Field(None, description="The server's token, if it has one.")


class Asked(BaseModel):
    """A text whose language to detect."""

    q: Text = Field(examples=["The cat sleeps."])
    api_key: str | None = Field(None, description="The server's token, if it has one.")


class Translated(BaseModel):
    """Translations, one for each text."""

    translatedText: str | list[str]
    detectedLanguage: Detected | list[Detected] | None = None


class Language(BaseModel):
    """A language, and the languages it is translated to."""

    code: str
    name: str
    targets: list[str]


class Explained(BaseModel):
    """A text whose translation to explain."""

    model_config = ConfigDict(extra="forbid")

    text: Text = Field(examples=["The cat sleeps."])
    beam: int = Field(5, ge=1, le=WIDEST_BEAM, description="Width of the search.")
    exact: bool = Field(
        True, description="Whether taught sentences are translated as they were taught."
    )
    fuzzy: float | None = Field(
        None, gt=0, le=1, description="Least similarity of lessons to list."
    )


Form = TypeVar("Form", Wanted, Asked)


def _bodies(form: type[BaseModel]) -> dict[str, Any]:
    """Return the OpenAPI description of a body that may be JSON or a form."""
    schema = {"schema": form.model_json_schema()}
    content = {"application/json": schema, "application/x-www-form-urlencoded": schema}
    return {"requestBody": {"required": True, "content": content}}


async def _body(request: Request, form: type[Form], served: Service) -> Form:
    """Read a body that is JSON or a form, and check the token that it may contain."""
    raw = await request.body()
    try:
        if request.headers.get("content-type", "").startswith("application/json"):
            found = form.model_validate_json(raw)
        else:
            fields = parse_qs(raw.decode(), keep_blank_values=True, max_num_fields=MOST_TEXTS)
            found = form.model_validate(
                {name: texts if len(texts) > 1 else texts[0] for name, texts in fields.items()}
            )
    except ValidationError as error:
        served.token.check(bearer(request.headers))  # clients without it learn nothing
        raise RequestValidationError(error.errors()) from error
    except ValueError as error:
        raise InputError(f"the body is neither JSON nor a form ({error})") from error
    served.token.check(bearer(request.headers) or found.api_key)
    return found


@router.post(
    "/translate",
    summary="Translate, as LibreTranslate does",
    response_model_exclude_none=True,
    openapi_extra=_bodies(Wanted),
)
async def translate(served: Served, request: Request) -> Translated:
    """White space, line ends, tags and placeholders are preserved."""
    wanted = await _body(request, Wanted, served)
    source, target = served.translator.languages
    for given, known in ((wanted.source, source), (wanted.target, target)):
        if given != AUTO and main_code(given) != main_code(known):
            raise InputError(f"{given} is not supported; texts are translated {source} to {target}")
    texts = [wanted.q] if isinstance(wanted.q, str) else wanted.q
    if len(texts) > MOST_TEXTS or sum(map(len, texts)) > LONGEST_TEXT:
        raise InputError(
            f"a request may have at most {MOST_TEXTS} texts with {LONGEST_TEXT:,} characters in "
            "total; send more in parts"
        )
    found = [one.text for one in await served.translate(texts)]
    detected = None
    if wanted.source == AUTO:
        detected = await run_in_threadpool(lambda: [detect(text, source, target) for text in texts])
    if isinstance(wanted.q, str):
        return Translated(
            translatedText=found[0], detectedLanguage=detected[0] if detected else None
        )
    return Translated(translatedText=found, detectedLanguage=detected)


@router.post(
    "/detect",
    summary="Detect which of the server's two languages a text is in",
    openapi_extra=_bodies(Asked),
)
async def detect_language(served: Served, request: Request) -> list[Detected]:
    """The answer has LibreTranslate's format; other languages are not considered."""
    asked = await _body(request, Asked, served)
    return [await run_in_threadpool(detect, asked.q, *served.translator.languages)]


@router.get("/languages", summary="List the languages, as in LibreTranslate")
async def languages(served: Served) -> list[Language]:
    """The source language, with its one target, and the target language."""
    source, target = served.translator.languages
    return [
        Language(code=source, name=name_of(source), targets=[target]),
        Language(code=target, name=name_of(target), targets=[]),
    ]


@router.post("/explain", summary="Translate, and explain where every word comes from")
async def explain(served: Served, wanted: Explained) -> Translation:
    """The memory's share of each word, and what is remembered that supports it, best first."""
    how = wanted.model_dump(exclude={"text"})
    return await served.work(served.translator.explain, wanted.text, **how)
