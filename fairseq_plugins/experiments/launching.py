"""Several processes that train together, or share a sharded memory, on one machine without a GPU.

For GPUs, fairseq starts its own processes. For CPUs it has the means, but the necessary options are
hard to find (docs/architecture.md). Each process here is one rank; they communicate through gloo.
Other programs learn their rank from the environment, as torchrun sets it.
"""

import logging
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from fairseq_plugins.commands import end, override, program
from fairseq_plugins.errors import InputError
from fairseq_plugins.ranks import MEETING

logger = logging.getLogger(__name__)

TRAIN, HYDRA = "fairseq-train", "fairseq-hydra-train"
TEAMS = ("fairseq-generate", "fairseq-interactive", "fairseq-memory fill")  # rank 0 does the work
LOOK_EVERY = 0.2  # seconds


def rank_arguments(name: str, rank: int, workers: int, meeting: Path) -> list[str]:
    """Return the arguments that give a process its rank.

    Args:
        name: ``fairseq-train`` or ``fairseq-hydra-train``.
        rank: of the process.
        workers: number of processes.
        meeting: file through which they find each other; it does not exist yet.
    """
    settings = {
        "distributed_world_size": workers,
        "distributed_rank": rank,
        "device_id": 0,
        "distributed_backend": "gloo",
        "distributed_init_method": f"file://{meeting}",
        "distributed_no_spawn": True,
        "ddp_backend": "legacy_ddp",
    }
    if name == HYDRA:
        own = [override(f"distributed_training.{key}", value) for key, value in settings.items()]
        return [*own, "common.cpu=true"]
    arguments = ["--cpu"]
    for key, value in settings.items():
        arguments.append("--" + key.replace("_", "-"))
        if value is not True:
            arguments.append(str(value))
    return arguments


def _environment(rank: int, workers: int, meeting: Path, threads: int) -> dict[str, str]:
    """Return the variables that tell a process its rank, as torchrun does."""
    settings = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": workers, "OMP_NUM_THREADS": threads}
    return {name: str(value) for name, value in settings.items()} | {MEETING: f"file://{meeting}"}


def launch(command: Sequence[str], workers: int, threads: int) -> int:
    """Run a command in several processes, and end all of them as soon as one fails.

    Args:
        command: a program that knows of other processes, with its arguments.
        workers: number of processes.
        threads: processor cores for each.

    Returns:
        The exit status: 0, or that of the process that failed first.

    Raises:
        InputError: if the program does not.
    """
    name, *arguments = command
    trains = name in (TRAIN, HYDRA)
    if not trains and not " ".join(command).startswith(TEAMS):
        raise InputError(
            f"{name}: only {', '.join((TRAIN, HYDRA, *TEAMS))} can run in several processes"
        )
    with TemporaryDirectory() as folder:
        meeting = Path(folder, "meeting")
        ranks = []
        for rank in range(workers):
            role = rank_arguments(name, rank, workers, meeting) if trains else []
            environment = os.environ | _environment(rank, workers, meeting, threads)
            ranks.append(subprocess.Popen([program(name), *arguments, *role], env=environment))
        numbers = [rank.pid for rank in ranks]
        logger.info("%d processes of %d threads: %s", workers, threads, numbers)
        try:
            return _wait(ranks)
        finally:
            end(*ranks)


def _wait(ranks: Sequence[subprocess.Popen]) -> int:
    while True:
        statuses = [rank.poll() for rank in ranks]
        failed = [(status, rank) for rank, status in enumerate(statuses) if status]
        if failed:
            # One that was killed has a negative status, and is the reason why others fail.
            status, rank = min(failed)
            logger.error("Rank %d ended with status %s; ending the others", rank, status)
            return abs(status)
        if None not in statuses:
            return 0
        time.sleep(LOOK_EVERY)
