"""Shows the progress of long work."""

import logging
import sys
from typing import Any

from tqdm import tqdm

logger = logging.getLogger(__name__)

LOG_INTERVAL = 30  # seconds
LINE = "{l_bar} {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}]"
ENDLESS = "{desc}: {n_fmt} [{elapsed}, {rate_fmt}]"  # if the total is unknown


class Progress(tqdm):
    """A tqdm bar on a terminal; in a log, a line every half minute."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.logged = not sys.stderr.isatty()
        if self.logged:
            kwargs |= {"mininterval": LOG_INTERVAL, "delay": LOG_INTERVAL, "miniters": 1,
                       "leave": False, "bar_format": LINE}  # fmt: skip
        super().__init__(*args, **kwargs)
        if self.logged and self.total is None:
            self.bar_format = ENDLESS

    def display(self, msg: str | None = None, pos: int | None = None) -> Any:
        """Show the current state."""
        if not self.logged:
            return super().display(msg, pos)
        if msg is None:  # otherwise tqdm clears the bar
            logger.info("%s", str(self))  # formatted now, not when the record is read
        return None
