"""The thread that does everything that needs the network; requests queue for it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

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
        self.waiting = 0

    async def __call__(
        self, call: Callable[Given, Result], *args: Given.args, **named: Given.kwargs
    ) -> Result:
        """Wait for the calls before this one, make it, and return its result.

        Raises:
            BusyError: if too many wait already.
        """
        if self.waiting >= self._most:
            raise BusyError
        self.waiting += 1
        try:
            # A client that disconnects does not stop its call, which may be at any stage.
            return await asyncio.wrap_future(self._thread.submit(call, *args, **named))
        finally:
            self.waiting -= 1

    def close(self) -> None:
        """Finish the waiting calls."""
        self._thread.shutdown()
