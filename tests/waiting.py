"""Waits for what another thread or process does, however slow the machine is."""

import time
from collections.abc import Callable

from tests.programs import LONGEST


def wait_until(condition: Callable[[], object]) -> None:
    """Return once a condition holds; fail if it never does."""
    end = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
