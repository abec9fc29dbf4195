"""Shared by all benchmarks: a description of the machine, and reports."""

import argparse
import logging
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from fairseq_plugins import allocator
from fairseq_plugins.atomic import write_json
from fairseq_plugins.benchmarks.duel import Duel, Turn
from fairseq_plugins.errors import InputError
from fairseq_plugins.number_formats import native_bfloat16

logger = logging.getLogger(__name__)

IDLE_LOAD = 0.5  # cores in use; above this, the machine is busy
MOMENT = 0.5  # seconds


def run(
    args: argparse.Namespace,
    measure: Callable[[argparse.Namespace], Sequence[Duel]],
    quick: Mapping[str, Any],
) -> str:
    """Set up the process, measure, and report.

    Args:
        args: parsed command line.
        measure: makes all comparisons.
        quick: arguments that replace others with ``--quick``.

    Returns:
        A table for people; all numbers go to ``args.json``.

    Raises:
        InputError: if there is no such device, or no folder for ``args.json``.
    """
    about = begin(args, quick)
    allocator.keep_freed_memory()  # as in our task, so it is the same for everything that runs here
    duels = measure(args)
    given = vars(args).items()
    settings = {name: value for name, value in given if name != "json" and not callable(value)}
    results = [duel.as_json() for duel in duels]
    numbers = {"machine": about, "settings": settings, "results": results}
    return finish(args, numbers, heading(about), "", duels_table(duels))


def begin(args: argparse.Namespace, quick: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Set up the process for a measurement, and describe the machine.

    Args:
        args: parsed command line: ``json``, and ``device``, ``threads`` and ``quick`` if the
            benchmark has them.
        quick: arguments that replace others with ``--quick``.

    Raises:
        InputError: if there is no such device, or no folder for ``args.json``.
    """
    given = vars(args)
    if given.get("quick"):
        given.update(quick or {})
    if args.json and not args.json.parent.is_dir():
        raise InputError(f"--json {args.json}: there is no folder {args.json.parent}; create it")
    device = given.get("device", "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch finds no GPU here; use --device cpu")
    if given.get("threads"):
        torch.set_num_threads(args.threads)
    return machine(device)


def heading(about: Mapping[str, Any]) -> str:
    """Return a line about the machine, as :func:`machine` describes it."""
    where = about.get("accelerator", f"{about['processor']}, {about['threads']} threads")
    return f"{where}, torch {about['torch']}"


def finish(args: argparse.Namespace, numbers: Mapping[str, Any], *lines: str) -> str:
    """Write all numbers to ``args.json``, if it is given, and return lines for people as a text."""
    if args.json:
        write_json(args.json, numbers)
    return "\n".join(lines)


def machine(device: str) -> dict[str, Any]:
    """Describe the machine; warn if it is busy."""
    load = cores_in_use()
    if load > IDLE_LOAD:
        logger.warning(
            "Other programs are busy here (load %.1f): the numbers will mean little", load
        )
    about: dict[str, Any] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "native_bfloat16": native_bfloat16(device),
        "load_before": round(load, 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    if device.startswith("cuda"):
        about["accelerator"] = torch.cuda.get_device_name(device)
    return about


def cores_in_use() -> float:
    """Return how many cores other programs use at this moment.

    The load average would also count what ended a minute ago, such as the benchmark before; it is
    used only where the system tells nothing else.
    """
    try:
        begin, idle = time.perf_counter(), _idle_seconds()
        time.sleep(MOMENT)
        idle, passed = _idle_seconds() - idle, time.perf_counter() - begin
    except OSError:
        return os.getloadavg()[0]
    return max(0.0, (os.cpu_count() or 1) - idle / passed)


def _idle_seconds() -> float:
    """Return how long all cores were idle since Linux started."""
    with open("/proc/uptime", encoding="ascii") as file:
        return float(file.read().split()[1])


def measurable(number_format: str, device: str, title: str) -> bool:
    """Return whether a number format can be measured on a device; log what is left out.

    Args:
        number_format: ``float32`` or ``bfloat16``. The speed of emulated formats means nothing.
        device: ``cpu`` or ``cuda``.
        title: of the comparison, for the log.
    """
    if number_format != "bfloat16" or native_bfloat16(device):
        return True
    logger.warning("Left out, because bfloat16 is not native to this machine: %s", title)
    return False


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
            names = (line.partition(":")[2] for line in lines if line.startswith("model name"))
            return next(names).strip()
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def duels_table(duels: Sequence[Duel]) -> str:
    """Return a row for each duel: both speeds, and the ratios with their range."""
    heads = ("", "ours", "speed", "rival", "speed", "time", "speed", "time from-to")
    rows = [heads] + [
        (
            duel.title,
            duel.ours,
            _speed(duel.our_turns, duel.unit),
            duel.rival,
            _speed(duel.rival_turns, duel.unit),
            f"{duel.time_ratio:.2f}x",
            f"{duel.speed_ratio:.2f}x",
            f"{min(duel.time_ratios):.2f}-{max(duel.time_ratios):.2f}",
        )
        for duel in duels
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _speed(turns: Sequence[Turn], unit: str) -> str:
    speed = statistics.median(turn.speed for turn in turns)
    return f"{speed:,.0f} {unit}/s" if speed >= 100 else f"{speed:,.3g} {unit}/s"
