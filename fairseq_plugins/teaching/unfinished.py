"""A copy of a filling that is not finished, from which the same command goes on after a kill."""

import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fairseq import checkpoint_utils

from fairseq_plugins.patches.memory_files import remove_others
from fairseq_plugins.teaching.fill import FillReport
from fairseq_plugins.teaching.loaded_checkpoint import LoadedCheckpoint

logger = logging.getLogger(__name__)

EVERY = 600.0  # seconds between two copies
_ENTRY = "filling"  # of the checkpoint


class Unfinished:
    """The checkpoint of a filling that is not finished, beside the one that it will write.

    Args:
        output: checkpoint that the filling will write.
        path: checkpoint that it began with.
        filling: its settings. Only a filling with the same ones goes on.

    Raises:
        OSError: if there is no such checkpoint.
    """

    def __init__(self, output: Path, path: Path, filling: object) -> None:
        self.path = output.with_name(f"{output.stem}.unfinished{output.suffix}")
        source = path.stat()
        self._command = repr((str(path.resolve()), source.st_size, source.st_mtime_ns, filling))
        self._begin = self._kept = time.monotonic()
        self._before = 0.0  # seconds that earlier processes took

    def resume(self) -> tuple[dict[str, Any] | None, FillReport]:
        """Return the checkpoint that was kept, and what had been done; None if there is none."""
        if not self.path.exists():
            return None, FillReport()
        state = checkpoint_utils.load_checkpoint_to_cpu(str(self.path))
        kept = state.pop(_ENTRY, {})
        if kept.get("command") != self._command:
            logger.warning("%s: is of another command, so this one starts again", self.path)
            return None, FillReport()
        done = FillReport(**kept["report"])
        self._before = done.seconds
        logger.info("%s: goes on after %s target tokens", self.path, f"{done.seen:,}")
        return state, done

    @property
    def seconds(self) -> float:
        """Seconds that the filling has taken, in all processes."""
        return self._before + time.monotonic() - self._begin

    def keep(self, loaded: LoadedCheckpoint, done: FillReport) -> None:
        """Write a copy if it is time to.

        Args:
            loaded: the checkpoint with what was filled.
            done: a summary of it.
        """
        if time.monotonic() - self._kept < EVERY:
            return
        report = asdict(done) | {"seconds": self.seconds}
        loaded.state[_ENTRY] = {"command": self._command, "report": report}
        loaded.save(self.path)
        del loaded.state[_ENTRY]
        self._kept = time.monotonic()

    def remove(self) -> None:
        """Remove the copy, because the filling is finished."""
        self.path.unlink(missing_ok=True)
        remove_others({}, self.path)
