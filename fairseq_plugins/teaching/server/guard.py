"""The guard in front of every route: it decides which requests are accepted, and their size.

Without a token, only this machine is served, and pages of other sites that are open in a browser on
this machine are kept out in two ways: by the ``Host`` header, if their own name leads here (DNS
rebinding), and by ``Origin``, if they send requests here. With a token, clients that do not know it
get only the empty page and its parts.
"""

import asyncio
import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fairseq_plugins.teaching.server.limits import LARGEST_BODY, LARGEST_FILE, STALLED

LOOPBACK = frozenset(["localhost", "127.0.0.1", "::1"])
READING = frozenset(["GET", "HEAD", "OPTIONS"])
IMPORT = "/lessons/import"
# The same for everybody: the empty page, its parts, and the description of the API.
PUBLIC = frozenset(["/", "/docs", "/openapi.json", "/health", "/languages"])
ASSETS = "/static/"
# They check for themselves, because clients of LibreTranslate send the token in the body.
CHECK_THEMSELVES = frozenset(["/translate", "/detect"])
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class RefusedError(Exception):
    """A request is rejected."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status, self.reason, self.headers = status, reason, headers

    def response(self) -> JSONResponse:
        """Return the response for the client."""
        return JSONResponse({"error": self.reason}, self.status, self.headers)


class Token:
    """The secret that clients must know, if there is one."""

    def __init__(self, secret: str | None) -> None:
        self._secret = None if secret is None else secret.encode()

    @property
    def needed(self) -> bool:
        """Whether there is a secret."""
        return self._secret is not None

    def check(self, given: str | None) -> None:
        """Compare in constant time, which reveals nothing about the secret.

        Raises:
            RefusedError: if a token is needed and this is not the one.
        """
        if self._secret is None:
            return
        sent = (given or "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(self._secret, sent):
            raise RefusedError(
                401, "give the server's token: Authorization: Bearer TOKEN",
                {"WWW-Authenticate": "Bearer"},
            )  # fmt: skip


class Guard:
    """Accepts or rejects requests, and adds security headers to responses.

    Args:
        app: to protect.
        token: that clients must know.
    """

    def __init__(self, app: ASGIApp, token: Token) -> None:
        self.app, self.token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        try:
            exchange.largest = self._check(scope)
        except RefusedError as refused:
            await exchange.refuse(refused)
            return
        await self.app(scope, exchange.receive, exchange.send)

    def _check(self, scope: Scope) -> int:
        """Accept a request, and return the number of bytes it may have."""
        headers, path = Headers(scope=scope), scope["path"]
        host = headers.get("host", "")
        if not self.token.needed and _name(host) not in LOOPBACK:
            raise RefusedError(
                421, "without a token only this machine is served, by the name localhost"
            )
        if scope["method"] not in READING:
            _check_origin(headers, host)
        if path not in PUBLIC | CHECK_THEMSELVES and not path.startswith(ASSETS):
            self.token.check(bearer(headers))
        largest = LARGEST_FILE if path == IMPORT else LARGEST_BODY
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > largest:
            raise RefusedError(413, _too_large(largest))
        return largest


def bearer(headers: Headers) -> str | None:
    """Return the token in a request's headers."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def _name(host: str) -> str | None:
    """Return the name in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _check_origin(headers: Headers, host: str) -> None:
    """Reject requests from pages of other sites; programs other than browsers send no Origin."""
    origin = headers.get("origin")
    try:
        foreign = origin is not None and urlsplit(origin).netloc != host
    except ValueError:
        foreign = True
    if foreign or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise RefusedError(403, "a page of another site may not do this")


class _Exchange:
    """A request whose body is checked, and a response whose headers are extended.

    Args:
        scope: of the request.
        receive: returns the body.
        send: takes the response.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self._receive, self._send = scope, receive, send
        self.largest = LARGEST_BODY
        self._size = 0
        self._complete = self._begun = self._refused = False

    async def receive(self) -> Message:
        """Return a part of the body, unless it is too large or stalls."""
        if self._complete:  # the next message is that the client has disconnected
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), STALLED)
        except TimeoutError:
            stalled = RefusedError(408, f"nothing was received for {STALLED:.0f} s")
            raise await self.refuse(stalled) from None
        self._size += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._size > self.largest:
            raise await self.refuse(RefusedError(413, _too_large(self.largest)))
        return message

    async def refuse(self, refused: RefusedError) -> RefusedError:
        """Send the rejection, and accept no other response."""
        if not self._begun:
            await refused.response()(self.scope, self._receive, self.send)
        self._refused = True
        return refused

    async def send(self, message: Message) -> None:
        """Send a part of the response."""
        if self._refused:
            return
        if message["type"] == "http.response.start":
            self._begun = True
            headers = MutableHeaders(scope=message)
            headers.update(HEADERS)
            headers.setdefault("Cache-Control", "no-store")
        await self._send(message)


def _too_large(largest: int) -> str:
    return f"a request may have at most {largest:,} bytes"
