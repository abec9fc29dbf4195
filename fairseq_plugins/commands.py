"""Running fairseq's programs as a user would, each with its output in a log."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from fairseq_plugins.errors import InputError

logger = logging.getLogger(__name__)

PLUGINS = Path(__file__).resolve().parent
TIME_TO_END = 10.0  # seconds, before a process is killed that was asked to end
_running: set[subprocess.Popen] = set()  # what has to end with this program


def run(command: Sequence[object], log: Path, threads: int, append: bool = False) -> None:
    """Run a command to its end, its output in ``log``, or added to it.

    Raises:
        InputError: if it fails, naming the log.
    """
    wait(launch(command, log, threads, append), log)


def launch(
    command: Sequence[object], log: Path, threads: int, append: bool = False
) -> subprocess.Popen:
    """Start a command on so many threads, its output in ``log``, or added to it."""
    logger.debug("%s", " ".join(map(str, command)))
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a" if append else "w") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        )
    _running.add(process)
    return process


def wait(process: subprocess.Popen, log: Path) -> None:
    """Wait for a command to end.

    Raises:
        InputError: if it failed, naming the log.
    """
    try:
        status = process.wait()
    finally:
        end(process)
    if status != 0:
        raise InputError(f"{log}: the command that wrote this failed; its last lines say why")


def end(*processes: subprocess.Popen) -> None:
    """End those that have not ended by themselves; kill what does not listen."""
    for process in processes:
        process.terminate()  # does nothing to one that has ended
    for process in processes:
        try:
            process.wait(TIME_TO_END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _running.discard(process)


def end_all() -> None:
    """End all commands, those of other threads too: none shall go on without this program."""
    for process in list(_running):
        process.terminate()


def override(key: str, path: Path) -> str:
    """A path as an override of hydra's, whose grammar has a use for most punctuation."""
    quoted = str(path).replace("'", "\\'")
    return f"{key}='{quoted}'"


def read_hypotheses(lines: Iterable[str]) -> list[str]:
    """The H-lines of ``fairseq-generate``, sorted by sentence; the first one, its best, of each."""
    found: dict[int, str] = {}
    for line in lines:
        if line.startswith("H-"):
            number, _, text = line[2:].split("\t", 2)
            found.setdefault(int(number), text)
    return [found[number] for number in sorted(found)]


def program(name: str) -> Path:
    """fairseq's programs are installed beside the interpreter."""
    return Path(sys.executable).with_name(name)
