"""Servers of a translator, in this process or in others, and a client for them."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fairseq_plugins.errors import InputError
from fairseq_plugins.teaching.translator import Translator

PATIENCE = 300.0  # seconds for an answer, or for a server to start


class Client:
    """Sends requests to a server.

    Args:
        address: of it, with a slash at the end.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")

    def text(self, path: str, body: object = None, method: str | None = None) -> str:
        """Return the text of an answer.

        Raises:
            urllib.error.HTTPError: if the server refuses the request.
            OSError: if there is no answer.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.address + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.read().decode()

    def get(self, path: str) -> Any:
        """Return the answer to a question."""
        return json.loads(self.text(path))

    def send(self, path: str, body: object = None, method: str = "POST") -> Any:
        """Return the answer to a change."""
        return json.loads(self.text(path, body, method))


@contextmanager
def serving(folder: Path) -> Iterator[Client]:
    """Serve a translator folder on a thread of this process meanwhile.

    Raises:
        InputError: if the packages of the server are not installed.
    """
    try:
        from fairseq_plugins.teaching.server.app import build
        from fairseq_plugins.teaching.server.serving import on_a_thread
    except ModuleNotFoundError as error:
        raise InputError(
            f"{error.name} is not installed; pip install 'fairseq-memory[server]'"
        ) from error
    app, _ = build(Translator.open(folder))
    with on_a_thread(app) as address:
        yield Client(address)
