"""Texts that wait for the network at the same time are translated together, by one search."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from fairseq_plugins.teaching.server.limits import LONGEST_TEXT
from fairseq_plugins.teaching.server.worker import Worker
from fairseq_plugins.teaching.translation import Translation


@dataclass(eq=False)
class _Request:
    texts: list[str]
    answer: "Future[list[Translation]]" = field(default_factory=Future)

    @property
    def length(self) -> int:
        return sum(map(len, self.texts))


class Batches:
    """Translates what waits as soon as the first of it has its turn.

    Each request queues a call, like every other one. The first call that has its turn takes along
    the requests behind it, whose own calls then find nothing left to do.

    Args:
        work: the queue.
        translate: texts, one translation for each.
    """

    def __init__(self, work: Worker, translate: Callable[[list[str]], list[Translation]]) -> None:
        self._work, self._translate = work, translate
        self._lock = threading.Lock()
        self._waiting: deque[_Request] = deque()

    async def __call__(self, texts: list[str]) -> list[Translation]:
        """Translate texts.

        Raises:
            BusyError: if too many requests are waiting.
        """
        request = _Request(texts)
        with self._lock:
            self._work.submit(self._take)
            self._waiting.append(request)
        return await asyncio.wrap_future(request.answer)

    def _take(self) -> None:
        """Translate what waits, as far as it is not too long for one batch."""
        some: list[_Request] = []
        length = 0
        with self._lock:
            while self._waiting and (not some or length + self._waiting[0].length <= LONGEST_TEXT):
                request = self._waiting.popleft()
                if request.answer.set_running_or_notify_cancel():
                    some.append(request)
                    length += request.length
        if some:
            self._answer(some)

    def _answer(self, some: list[_Request]) -> None:
        """Translate requests together; if that fails, each by itself, to know which one fails."""
        try:
            found = iter(self._translate([text for one in some for text in one.texts]))
            answers = [[next(found) for _ in one.texts] for one in some]
        except Exception as error:
            if len(some) == 1:
                some[0].answer.set_exception(error)
                return
            for one in some:
                self._answer([one])
            return
        for one, answer in zip(some, answers, strict=True):
            one.answer.set_result(answer)
