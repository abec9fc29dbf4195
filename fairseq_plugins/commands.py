"""Runs fairseq's programs as a user would, each with its output in a log."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

from fairseq_plugins.errors import InputError

logger = logging.getLogger(__name__)

PLUGINS = Path(__file__).resolve().parent
LOOK_EVERY = 0.1  # seconds
TIME_TO_END = 10.0  # seconds between asking a process to end and killing it
Result = TypeVar("Result")
_running: set[subprocess.Popen] = set()  # processes to end with this program


def run(command: Sequence[object], log: Path, threads: int, append: bool = False) -> None:
    """Run a command to its end and write its output to ``log``, or append it.

    Raises:
        InputError: if the command fails; it names the log.
    """
    wait(launch(command, log, threads, append), log)


def launch(
    command: Sequence[object], log: Path, threads: int, append: bool = False
) -> subprocess.Popen:
    """Start a command with a number of threads and write its output to ``log``, or append it."""
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
        InputError: if the command failed; it names the log.
    """
    try:
        status = process.wait()
    finally:
        end(process)
    if status != 0:
        raise InputError(
            f"{log}: the command that wrote this log failed; its last lines give the reason"
        )


def end(*processes: subprocess.Popen) -> None:
    """End processes that are still running; kill those that do not react."""
    for process in processes:
        process.terminate()  # has no effect on a process that has ended
    for process in processes:
        try:
            process.wait(TIME_TO_END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _running.discard(process)


def end_all() -> None:
    """End all commands, including those of other threads, so that none outlives this program."""
    for process in list(_running):
        process.terminate()


def together(jobs: Sequence[Callable[[], Result]], workers: int) -> list[Result]:
    """Do jobs that run commands, each in a thread, ``workers`` of them at a time.

    Returns:
        What they return, in order. If one fails, the commands of all are ended, and it raises.
    """
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(job) for job in jobs]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            for future in futures:
                future.cancel()
            while not all(future.done() for future in futures):  # one may just have begun
                end_all()
                time.sleep(LOOK_EVERY)
            raise
    return [future.result() for future in futures]


def override(key: str, value: object) -> str:
    """Return a value, such as a path, as a hydra override, which quotes most punctuation."""
    quoted = str(value).replace("'", "\\'")
    return f"{key}='{quoted}'"


def read_hypotheses(lines: Iterable[str]) -> list[str]:
    """Return the first H-line of each sentence from ``fairseq-generate``, its best, in order."""
    found: dict[int, str] = {}
    for line in lines:
        if line.startswith("H-"):
            number, _, text = line[2:].split("\t", 2)
            found.setdefault(int(number), text)
    return [found[number] for number in sorted(found)]


def program(name: str) -> Path:
    """Return the path of one of fairseq's programs, which are beside the interpreter."""
    return Path(sys.executable).with_name(name)
