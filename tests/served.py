"""A server of a translator on a thread of this process, and a client for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from fairseq_plugins.teaching.server.app import build
from fairseq_plugins.teaching.server.service import Service
from fairseq_plugins.teaching.server.serving import on_a_thread
from fairseq_plugins.teaching.translator import Translator
from tests.programs import LONGEST


class Client:
    """Talks to a server.

    Attributes:
        address: of it, without a slash at its end.
        service: what its routes share, if it is in this process.
    """

    def __init__(self, address: str, service: Service | None = None) -> None:
        self.address, self._service = address, service

    @property
    def service(self) -> Service:
        assert self._service is not None
        return self._service

    def __call__(self, method: str, path: str, **more: Any) -> requests.Response:
        """Return the answer to a request."""
        return requests.request(method, self.address + path, timeout=LONGEST, **more)

    def get(self, path: str, **query: Any) -> Any:
        """Return the answer to a request that must succeed."""
        return self._answered(self("GET", path, params=query))

    def send(self, method: str, path: str, **json: Any) -> Any:
        """Return the answer to a change that must succeed."""
        return self._answered(self(method, path, json=json))

    def refused(self, method: str, path: str, **more: Any) -> tuple[int, str]:
        """Return the status and the error of a request that must fail."""
        answer = self(method, path, **more)
        assert answer.status_code >= 400, answer.text
        return answer.status_code, answer.json()["error"]

    @staticmethod
    def _answered(answer: requests.Response) -> Any:
        assert answer.ok, answer.text
        return answer.json()


@contextmanager
def serving(folder: Path, token: str | None = None) -> Iterator[Client]:
    """Serve a translator folder meanwhile."""
    app, service = build(Translator.open(folder), token)
    with on_a_thread(app) as address:
        yield Client(address.rstrip("/"), service)
