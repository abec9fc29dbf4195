"""Waits for what another thread or process does, however slow the machine is."""

import time
from collections.abc import Callable

LONGEST = 300.0  # seconds; something hangs, rather than being slow


def wait_until(condition: Callable[[], object], longest: float = LONGEST) -> None:
    """Return once a condition holds; fail if it does not within a number of seconds."""
    end = time.monotonic() + longest
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
