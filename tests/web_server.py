"""A web server for a folder that supports ranges, and can fail in the ways that servers do."""

import functools
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


class Server:
    """What it is to do, and what it was asked.

    Attributes:
        folder: Its files.
        address: Ends with a slash.
        break_after: Bytes after which an answer breaks off, for as many answers as there are.
        chunked: Whether answers come in pieces, without telling how long they are.
        length: Of every answer, if it is to be another than the true one.
        answering: Set unless answers are held back.
        statuses: To be sent instead of a file, one for each of the next requests.
        ranges: Of the requests so far, None for a whole file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.address = folder, ""
        self.break_after: list[int] = []
        self.chunked = False
        self.length: str | None = None
        self.answering = threading.Event()
        self.answering.set()
        self.statuses: list[int] = []
        self.ranges: list[str | None] = []


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, state: Server, *given: Any) -> None:
        self.state = state
        super().__init__(*given)

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        state = self.state
        wanted = self.headers["Range"]
        state.ranges.append(wanted)
        state.answering.wait()
        path = state.folder / self.path.lstrip("/")
        status = state.statuses.pop(0) if state.statuses else 200 if path.is_file() else 404
        if status != 200:
            self.send_error(status)
            return
        content = path.read_bytes()
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if wanted and begin >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if wanted else 200)
        header = ("Transfer-Encoding", "chunked") if state.chunked else None
        self.send_header(*(header or ("Content-Length", state.length or str(len(content) - begin))))
        self.end_headers()
        end = begin + state.break_after.pop(0) if state.break_after else None
        part = content[begin:end]
        with suppress(ConnectionError):  # who asked may have gone away
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part) if state.chunked else part)
            if state.chunked and end is None:
                self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True


@contextmanager
def serve(folder: Path) -> Iterator[Server]:
    """Serve a folder."""
    state = Server(folder)
    handler = functools.partial(_Handler, state)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        state.address = f"http://127.0.0.1:{httpd.server_port}/"
        yield state
        state.answering.set()
        httpd.shutdown()
