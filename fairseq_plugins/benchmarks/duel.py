"""Compares the speed of something with a rival, on a machine that is never quite idle.

Other work of the computer slows everything down, for a moment or for minutes. Therefore two
contenders take turns at the same work, each turn of one is compared with the adjacent turn of the
other, and the median of these ratios is the result: a disturbance affects both, or is an outlier.
"""

import gc
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

import torch
from tqdm import tqdm

from fairseq_plugins.program import start


@dataclass(frozen=True)
class Turn:
    """The result of one turn of a contender."""

    seconds: float
    work: float = 1.0
    """Number of units of work: words, sentences, steps."""

    @property
    def speed(self) -> float:
        """Units of work per second."""
        return self.work / self.seconds


# Does the work of the turn with this number, the same for all contenders, and times it.
Contender = Callable[[int], Turn]


class Stopwatch:
    """Times a block, including what it started on an accelerator.

    Example::

        with Stopwatch("cpu") as watch:
            work()
        watch.seconds
    """

    def __init__(self, device: str) -> None:
        self.device, self.seconds = device, 0.0

    def __enter__(self) -> Self:
        self._synchronize()
        self._begin = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._synchronize()
        self.seconds = time.perf_counter() - self._begin

    def _synchronize(self) -> None:
        if self.device.startswith("cuda"):
            torch.cuda.synchronize(self.device)


@dataclass(frozen=True)
class Effort:
    """How long two contenders take turns; both limits must be reached."""

    seconds: float
    turns: int = 5


@dataclass(frozen=True)
class Duel:
    """Two contenders after taking turns at the same work."""

    title: str
    ours: str
    rival: str
    our_turns: Sequence[Turn]
    rival_turns: Sequence[Turn]
    unit: str
    """Unit of the work."""
    details: dict[str, Any] = field(default_factory=dict)
    """Further information about the comparison."""

    @property
    def time_ratios(self) -> list[float]:
        """Our time divided by the rival's for the same work, turn by turn."""
        pairs = zip(self.our_turns, self.rival_turns, strict=True)
        return [rival.speed / our.speed for our, rival in pairs]

    @property
    def time_ratio(self) -> float:
        """Median of :attr:`time_ratios`: 0.5 means half the time."""
        return statistics.median(self.time_ratios)

    @property
    def speed_ratio(self) -> float:
        """Median of our speed divided by the rival's: 2 means twice as fast."""
        return statistics.median(1 / ratio for ratio in self.time_ratios)

    def as_json(self) -> dict[str, Any]:
        """Return all measurements, and the ratios."""
        return {
            "title": self.title,
            "unit": self.unit,
            **self.details,
            "ours": _summary(self.ours, self.our_turns),
            "rival": _summary(self.rival, self.rival_turns),
            "time_ratio": self.time_ratio,
            "speed_ratio": self.speed_ratio,
            "time_ratio_range": [min(self.time_ratios), max(self.time_ratios)],
        }


def _summary(name: str, turns: Sequence[Turn]) -> dict[str, Any]:
    return {
        "name": name,
        "speed": statistics.median(turn.speed for turn in turns),
        "seconds": [turn.seconds for turn in turns],
        "work": [turn.work for turn in turns],
    }


def duel(
    title: str,
    ours: tuple[str, Contender],
    rival: tuple[str, Contender],
    effort: Effort,
    unit: str,
    **details: Any,
) -> Duel:
    """Let two contenders take turns, alternating who begins.

    Args:
        title: what is compared.
        ours: name and contender.
        rival: name and contender.
        effort: how long they take turns.
        unit: of work.
        details: stored with the result.

    Returns:
        All turns, except the first one of each, which is a warm-up.
    """
    contenders = (ours[1], rival[1])
    turns: tuple[list[Turn], list[Turn]] = ([], [])
    with tqdm(desc=title, unit=" turns", leave=False, disable=None) as bar, _no_collection():
        for contender in contenders:
            contender(0)
        begin = time.perf_counter()
        number = 0
        while number < effort.turns or time.perf_counter() - begin < effort.seconds:
            number += 1
            for who in (0, 1) if number % 2 else (1, 0):
                turns[who].append(contenders[who](number))
            bar.update()
    return Duel(title, ours[0], rival[0], *turns, unit, details)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Turn off Python's cycle collector, which would delay whichever contender is running."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Apart:
    """A contender in a separate process, as a user would run it.

    It shares neither the memory allocator's settings nor the threads of this process.

    Args:
        make: creates the contender there; must be importable by name, with arguments that pickle.
    """

    def __init__(self, make: Callable[[], Contender]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs, make), daemon=True)
        self._process.start()
        theirs.close()

    def __call__(self, number: int) -> Turn:
        """Run a turn in the process.

        Raises:
            RuntimeError: if the process has died; its stderr has the reason.
        """
        try:
            self._pipe.send(number)
            return self._pipe.recv()
        except (EOFError, BrokenPipeError) as error:
            raise RuntimeError("the process of a contender has died") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        with suppress(BrokenPipeError):
            self._pipe.send(None)  # ends it
        self._pipe.close()
        self._process.join()


def _serve(pipe: Connection, make: Callable[[], Contender]) -> None:
    start()
    contender = make()
    while True:
        try:
            number = pipe.recv()
        except EOFError:  # whoever asked was killed
            return
        if number is None:
            return
        pipe.send(contender(number))
