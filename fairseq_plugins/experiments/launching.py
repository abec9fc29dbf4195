"""One training with several processes on machines without a GPU.

For GPUs, fairseq starts its own processes. For CPUs it has the means, but the necessary options are
hard to find (docs/architecture.md). Each process here is one rank; they communicate through gloo.
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

logger = logging.getLogger(__name__)

TRAIN, HYDRA = "fairseq-train", "fairseq-hydra-train"
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


def launch(command: Sequence[str], workers: int, threads: int) -> int:
    """Train, and end all processes as soon as one fails.

    Args:
        command: ``fairseq-train`` or ``fairseq-hydra-train`` with its arguments.
        workers: number of processes.
        threads: processor cores for each.

    Returns:
        The exit status: 0, or that of the process that failed first.

    Raises:
        InputError: if the command is not one of these.
    """
    name, *arguments = command
    if name not in (TRAIN, HYDRA):
        raise InputError(f"{name}: only {TRAIN} and {HYDRA} can run in several processes")
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    with TemporaryDirectory() as folder:
        meeting = Path(folder, "meeting")
        roles = [rank_arguments(name, rank, workers, meeting) for rank in range(workers)]
        ranks = [
            subprocess.Popen([program(name), *arguments, *role], env=environment) for role in roles
        ]
        numbers = [rank.pid for rank in ranks]
        logger.info("%d processes of %d threads: %s", workers, threads, numbers)
        try:
            return _wait(ranks)
        finally:
            end(*ranks)


def _wait(ranks: Sequence[subprocess.Popen]) -> int:
    while True:
        statuses = [rank.poll() for rank in ranks]
        failed = [number for number, status in enumerate(statuses) if status]
        if failed:
            status = statuses[failed[0]]
            logger.error("Rank %d ended with status %s; ending the others", failed[0], status)
            return abs(status or 1)
        if None not in statuses:
            return 0
        time.sleep(LOOK_EVERY)
