"""Serves a translator at an address until the process is told to stop."""

import ipaddress
import logging
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from fairseq_plugins.errors import InputError
from fairseq_plugins.teaching.server.app import build
from fairseq_plugins.teaching.server.limits import SHORTEST_TOKEN
from fairseq_plugins.teaching.server.service import Service
from fairseq_plugins.teaching.translator import Translator

LOOK_EVERY = 0.01  # seconds
MOST_CONNECTIONS = 1_000
WAITING_CONNECTIONS = 128  # that the kernel keeps until they are accepted


def serve(
    folder: Path, host: str, port: int, token: str | None = None, device: str = "cpu"
) -> Iterator[str]:
    """Serve a translator folder until SIGTERM or SIGINT, and finish what has begun by then.

    Args:
        folder: of the translator.
        host: name or address of this machine to listen at.
        port: to listen at; 0 for any free port.
        token: that clients must know; needed for all addresses that other machines can reach.
        device: to compute on.

    Yields:
        The address, once the server listens.

    Raises:
        InputError: if the address is not available, or needs a token.
    """
    if token is not None and (len(token) < SHORTEST_TOKEN or not token.isascii()):
        raise InputError(
            f"the token needs at least {SHORTEST_TOKEN} ASCII characters; create one with "
            "python3 -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    with _listening(host, port, token) as listening:
        app, served = build(Translator.open(folder, device), token)
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        for sign in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sign, lambda *_: None)  # uvicorn raises them again when it has ended
        yield f"http://{_shown(host)}:{listening.getsockname()[1]}/"
        _Server(_config(app), served).run(sockets=[listening])


@contextmanager
def on_a_thread(app: ASGIApp) -> Iterator[str]:
    """Serve an app on a thread of this process meanwhile, and yield its address.

    Raises:
        RuntimeError: if the server does not start.
    """
    server = uvicorn.Server(_config(app))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(LOOK_EVERY)
            if not server.started:
                raise RuntimeError("the server does not start")
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app, http="h11", ws="none", loop="asyncio", log_config=None, access_log=False,
        proxy_headers=False, server_header=False, limit_concurrency=MOST_CONNECTIONS,
    )  # fmt: skip


class _Server(uvicorn.Server):
    """A server that also tells long operations to stop."""

    def __init__(self, config: uvicorn.Config, served: Service) -> None:
        super().__init__(config)
        self._served = served

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._served.ending = True
        super().handle_exit(sig, frame)


def _listening(host: str, port: int, token: str | None) -> socket.socket:
    """Bind the address before the translator is loaded, which takes longer."""
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        if token is None and not ipaddress.ip_address(address[0]).is_loopback:
            raise InputError(
                f"{host}: everybody who reaches this address could read and change all lessons; "
                "protect them with --token, or leave --host out to serve this machine only"
            )
        return socket.create_server(address[:2], family=family, backlog=WAITING_CONNECTIONS)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"{host}, port {port}: {reason}; choose another --host or --port"
        ) from error


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
