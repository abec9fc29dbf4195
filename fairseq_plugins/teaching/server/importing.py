"""Imports a file of lessons from a client, part by part, while others are served."""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from fairseq_plugins.errors import InputError
from fairseq_plugins.teaching.entries import ImportReport
from fairseq_plugins.teaching.exchange import SUFFIXES, FaultyFileError, check_entries
from fairseq_plugins.teaching.server.service import Service

logger = logging.getLogger(__name__)

AT_ONCE = 50  # entries taught before others are served again: less than a second


class Progress(BaseModel):
    """Progress of an import; the last one is complete, or has an error."""

    total: int
    """Number of entries in the file."""
    report: ImportReport
    complete: bool = False
    error: str | None = None


class Import:
    """A file that is received, checked and taught by a separate task.

    It continues to its end even if the client disconnects: half a file is taught only if the server
    itself ends.

    Args:
        served: the translator.
        body: of the file.
        name: given by the client; it names nothing on this machine.
        origin: of the lessons; None for that in the file, or its name.
        keep_going: whether to import the readable part of a file with errors.

    Raises:
        InputError: if the format is unknown.
    """

    def __init__(
        self,
        served: Service,
        body: AsyncIterator[bytes],
        name: str,
        origin: str | None,
        keep_going: bool,
    ) -> None:
        suffix = next((one for one in SUFFIXES if name.lower().endswith(one)), None)
        if suffix is None:
            raise InputError(
                f"{name}: lessons are read from files that end in {', '.join(SUFFIXES)}"
            )
        self._served, self._body, self._suffix = served, body, suffix
        self._name, self._origin, self._keep_going = name, origin, keep_going
        self._news: asyncio.Queue[Progress | Exception | None] = asyncio.Queue()
        self.task = asyncio.create_task(self._run())

    async def progress(self) -> AsyncIterator[Progress]:
        """Yield the progress, first when the file was checked, then after each part.

        Raises:
            Exception: the error, if it occurred before anything was taught.
        """
        last: Progress | None = None
        while (news := await self._news.get()) is not None:
            if isinstance(news, Progress):
                last = news
            elif last is None:
                raise news
            else:
                last = last.model_copy(update={"error": self._reason(news)})
            yield last

    async def _run(self) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="fairseq-memory-") as folder:
                path = Path(folder, f"lessons{self._suffix}")
                await self._receive(path)
                await self._teach(path, await run_in_threadpool(self._check, path))
        except Exception as error:
            if not isinstance(error, InputError):
                logger.exception("The import of %s failed", self._name)
            self._news.put_nowait(error)
        finally:
            self._news.put_nowait(None)

    async def _receive(self, path: Path) -> None:
        with path.open("wb") as file:
            async for some in self._body:
                await run_in_threadpool(file.write, some)

    def _check(self, path: Path) -> int:
        try:
            return check_entries(path, self._served.translator.languages, self._keep_going)
        except FaultyFileError as fault:
            raise InputError(
                f"{self._name}, line {fault.line}: {fault.reason}; nothing was taught. Correct the "
                "file, or import the rest of it with keep_going"
            ) from fault

    async def _teach(self, path: Path, total: int) -> None:
        self._news.put_nowait(Progress(total=total, report=ImportReport()))
        parts = self._served.translator.import_parts(path, self._name, self._origin, AT_ONCE)
        report = ImportReport()
        while (found := await self._served.work(next, parts, None)) is not None:
            report = replace(found, reasons=list(found.reasons))
            self._news.put_nowait(Progress(total=total, report=report))
            if self._served.ending and report.read < total:
                raise InputError(
                    "the server is stopping; import the file again to teach the rest of it"
                )
        self._news.put_nowait(Progress(total=total, report=report, complete=True))

    def _reason(self, error: Exception) -> str:
        """Return the message for a client whose import has begun."""
        ours = "internal error of the server; see its log"
        return self._served.told(error) if isinstance(error, InputError) else ours
