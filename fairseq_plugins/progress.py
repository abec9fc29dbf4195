"""How far a long piece of work is."""

import logging
import sys
from typing import Any

from tqdm import tqdm

logger = logging.getLogger(__name__)

LOG_INTERVAL = 30  # seconds
LINE = "{l_bar} {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}]"
ENDLESS = "{desc}: {n_fmt} [{elapsed}, {rate_fmt}]"  # if nobody knows how much there is


class Progress(tqdm):
    """tqdm's bar on a terminal; where a log is written, a line every half minute."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.logged = not sys.stderr.isatty()
        if self.logged:
            kwargs |= {"mininterval": LOG_INTERVAL, "delay": LOG_INTERVAL, "miniters": 1,
                       "leave": False, "bar_format": LINE}  # fmt: skip
        super().__init__(*args, **kwargs)
        if self.logged and self.total is None:
            self.bar_format = ENDLESS

    def display(self, msg: str | None = None, pos: int | None = None) -> Any:
        """Show it as it is now."""
        if not self.logged:
            return super().display(msg, pos)
        if msg is None:  # else tqdm wants to wipe the bar out
            logger.info("%s", str(self))  # as it is now, not when it is read
        return None
