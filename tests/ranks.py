"""Processes that are the ranks of one program, forked from the test and kept for many examples.

They meet through a file, so that tests cannot disturb each other.
"""

import multiprocessing
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from tests.programs import LONGEST


class Ranks:
    """Several ranks that wait for work; use :func:`ranks` to start them."""

    def __init__(self, count: int, meeting_place: Path) -> None:
        context = multiprocessing.get_context("fork")  # they have imported everything already
        pipes = [context.Pipe() for _ in range(count)]
        self.own = [own for own, _ in pipes]
        self.processes = [
            context.Process(target=_work, args=(rank, count, meeting_place, theirs), daemon=True)
            for rank, (_, theirs) in enumerate(pipes)
        ]
        for process, (_, theirs) in zip(self.processes, pipes, strict=True):
            process.start()
            theirs.close()

    def start(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call a function of a module on all ranks, with its rank as the first argument."""
        for connection in self.own:
            connection.send((function, arguments))

    def result(self, rank: int) -> Any:
        """Wait for what the function returns on one rank; a failure there is one here."""
        assert self.own[rank].poll(LONGEST), f"rank {rank} hangs"
        failure, returned = self.own[rank].recv()
        assert failure is None, failure
        return returned

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Call a function on all ranks; return what it returns on each."""
        self.start(function, *arguments)
        return [self.result(rank) for rank in range(len(self.own))]

    def end(self) -> None:
        """End them, whatever they do."""
        for process in self.processes:
            process.kill()
            process.join()


@contextmanager
def ranks(count: int, folder: Path) -> Iterator[Ranks]:
    """Start ranks, and end them after this context."""
    started = Ranks(count, folder / f"meet{count}")
    try:
        yield started
    finally:
        started.end()


def _work(rank: int, count: int, meeting_place: Path, connection: Connection) -> None:
    torch.set_num_threads(1)
    address = f"file://{meeting_place}"
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=count)
    while True:
        function, arguments = connection.recv()
        try:
            connection.send((None, function(rank, *arguments)))
        except Exception:
            connection.send((traceback.format_exc(), None))
