"""The thread that does everything that needs the network; requests queue for it."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")


class BusyError(Exception):
    """Too many requests are already waiting."""


class Worker:
    """Runs calls one after another, in the order in which they come, on a separate thread.

    Args:
        most: greatest number of calls that may wait.
    """

    def __init__(self, most: int) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="translator")
        self._most = most
        self._lock = threading.Lock()
        self.waiting = 0
        """Calls that are not finished."""

    def submit(
        self, call: Callable[Given, Result], *args: Given.args, **named: Given.kwargs
    ) -> "Future[Result]":
        """Queue a call, and return its result to come.

        Raises:
            BusyError: if too many calls are waiting.
        """
        with self._lock:
            if self.waiting >= self._most:
                raise BusyError
            self.waiting += 1
        future = self._thread.submit(call, *args, **named)
        future.add_done_callback(self._finished)
        return future

    async def __call__(
        self, call: Callable[Given, Result], *args: Given.args, **named: Given.kwargs
    ) -> Result:
        """Wait for the calls before this one, make it, and return its result.

        A client that disconnects does not stop a call that has begun.

        Raises:
            BusyError: if too many calls are waiting.
        """
        return await asyncio.wrap_future(self.submit(call, *args, **named))

    def close(self) -> None:
        """Finish all calls."""
        self._thread.shutdown()

    def _finished(self, _: "Future[Any]") -> None:
        with self._lock:
            self.waiting -= 1
