"""Measure the speed of preparing text, and the memory that it takes.

    python -m data_prep.text.throughput --lines 1000000

Generates text, and prepares it with one process and with two, each time in a separate process, so
that the peak of its memory can be measured. Speeds are those of whole stages, including reading and
writing; the last column is the speed-up of two processes.
"""

import argparse
import logging
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_prep.core.program import HelpFormatter, run_program
from data_prep.core.ranges import Range
from data_prep.text.cleaning import Cleaner, Corpus
from data_prep.text.quality import CleaningOptions
from data_prep.text.sentencepiece_model import (
    SentencePieceOptions,
    encode_file,
    load_model,
    train_model,
)

logger = logging.getLogger(__name__)

LANGUAGES = ("en", "de")
SEED = 1
WORDS, MEAN_WORDS = 20_000, 20  # of the language; of a line
CHUNK = 10_000  # lines
KIB, MIB = 1 << 10, 1 << 20
STATUS = Path("/proc/self/status")  # on Linux
WORKERS = (1, 2)


class Measured(NamedTuple):
    """Measurements of one stage."""

    seconds: float
    peak_mib: float
    """Main memory of the largest process at its peak."""


def make_text(folder: Path, lines: int) -> None:
    """Write `text.en` and `text.de`: words by Zipf's law, lines with equal numbers of words."""
    random = np.random.default_rng(SEED)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyzäöü"))
    words = np.array(
        ["".join(random.choice(letters, random.integers(2, 12))) for _ in range(WORDS)]
    )
    share = 1 / np.arange(1, WORDS + 1)
    share /= share.sum()
    for language in LANGUAGES:
        with (folder / f"text.{language}").open("w", encoding="utf-8") as file:
            for begin in range(0, lines, CHUNK):
                lengths = random.poisson(MEAN_WORDS, min(CHUNK, lines - begin)) + 1
                drawn = words[random.choice(WORDS, lengths.sum(), p=share)]
                parts = np.split(drawn, lengths.cumsum()[:-1])
                file.writelines(" ".join(part) + "\n" for part in parts)


def clean(folder: Path, workers: int, check_language: bool = False) -> None:
    """Run the first stage."""
    pair = (folder / "text.en", folder / "text.de")
    options = CleaningOptions(check_language=check_language)
    out = folder / "out"
    out.mkdir(exist_ok=True)
    Cleaner(options, LANGUAGES, workers).write_training(Corpus("train", [pair]), out)


def clean_languages(folder: Path, workers: int) -> None:
    """Run the first stage with a language check of each line."""
    clean(folder, workers, check_language=True)


def encode(folder: Path, workers: int) -> None:
    """Run the third stage, for one language."""
    encode_file(load_model(folder / "spm.model"), folder / "text.en", folder / "pieces", workers)


STEPS = {"clean": clean, "clean, languages checked": clean_languages, "pieces": encode}


def measured(step: Callable[[Path, int], None], folder: Path, workers: int) -> Measured:
    """Run a step in a new process, and measure it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_report, args=(step, folder, workers, theirs))
    process.start()
    theirs.close()
    result = ours.recv()
    process.join()
    return result


def _report(
    step: Callable[[Path, int], None], folder: Path, workers: int, pipe: Connection
) -> None:
    begin = time.perf_counter()
    step(folder, workers)
    seconds = time.perf_counter() - begin
    pipe.send(Measured(seconds, max(_peak_bytes(), _used(resource.RUSAGE_CHILDREN)) / MIB))


def _peak_bytes() -> int:
    """Return the peak of this process's own memory.

    On Linux, a program that is started inherits `ru_maxrss` of the program that starts it, but not
    the kernel's high-water mark.
    """
    if not STATUS.exists():
        return _used(resource.RUSAGE_SELF)
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * KIB


def _used(whose: int) -> int:
    return resource.getrusage(whose).ru_maxrss * (1 if sys.platform == "darwin" else KIB)


def table(lines: int) -> Iterator[str]:
    """Measure all steps, and yield the lines of the table."""
    yield (
        f"{'':<26}" + "".join(f"{f'{n} process(es)':>18}{'peak':>10}" for n in WORKERS) + f"{'':>9}"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_text(folder, lines)
        options = SentencePieceOptions(vocab_size=8000, max_training_lines=100_000)
        train_model([folder / "text.en"], folder / "spm.model", options)
        for title, step in STEPS.items():
            found = [measured(step, folder, workers) for workers in WORKERS]
            cells = "".join(
                f"{lines / m.seconds:>10,.0f} lines/s{m.peak_mib:>6,.0f} MiB" for m in found
            )
            yield f"{title:<26}{cells}{found[0].seconds / found[1].seconds:>8.2f}x"


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument(
        "--lines", type=Range(1, 10**9), default=1_000_000, help="number of lines to generate"
    )
    return parser.parse_args(arguments)


def main(arguments: argparse.Namespace) -> None:
    """Measure and print."""
    logger.info("%d processor cores", os.cpu_count() or 1)
    for line in table(arguments.lines):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(run_program(main, parse_arguments()))
