"""Programs that several processes run together, because they share one sharded memory.

``torchrun``, SLURM and ``scripts/launch.py`` start the same command several times and number the
processes: these numbers are their ranks. fairseq's trainings divide the work. In all other
programs, rank 0 does the work, and the other ranks only answer it.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn

from fairseq_plugins.errors import InputError
from fairseq_plugins.memory.collective import number_of_ranks
from fairseq_plugins.memory.sharded import serve, sharded_in

# Variables of torchrun, then those of SLURM.
_RANK, _RANKS = ("RANK", "SLURM_PROCID"), ("WORLD_SIZE", "SLURM_NTASKS")
_LOCAL_RANK = ("LOCAL_RANK", "SLURM_LOCALID")
_PLACE = ("MASTER_ADDR", "MASTER_PORT")  # where they meet
MEETING = "FAIRSEQ_MEMORY_MEETING"  # or a file:// in which they do
_JOINING = timedelta(minutes=30)  # until all processes have started and loaded


class _Finished(BaseException):
    """Rank 0 has finished, and so this rank has nothing more to do."""


_led: list[nn.Module] | None = None  # models for which other ranks answer; None outside of `team`


@dataclass(frozen=True)
class Role:
    """What a launcher tells a process that it started."""

    rank: int
    """Number of the process."""
    ranks: int
    """Number of processes."""
    method: str
    """How they meet, for ``torch.distributed``."""


def launched() -> Role | None:
    """Return the role of this process among those started together; None if it is alone."""
    if MEETING not in os.environ and not all(name in os.environ for name in _PLACE):
        return None
    role = Role(_number(_RANK, 0), _number(_RANKS, 1), os.environ.get(MEETING, "env://"))
    return role if role.ranks > 1 else None


def _number(names: tuple[str, str], otherwise: int) -> int:
    return int(next((os.environ[name] for name in names if name in os.environ), otherwise))


@contextmanager
def team(device: str) -> Iterator[None]:
    """Connect the processes that were started together, if this is one of them.

    Ranks other than 0 log warnings only. They leave this context in :func:`lead`, once rank 0 has
    finished, and if they were not connected before, their program ends.

    Args:
        device: to compute on, ``cpu`` or ``cuda``.
    """
    global _led
    role = launched()
    joins = role is not None and not dist.is_initialized()
    if role is not None and joins:
        _join(role, device)
    if number_of_ranks() > 1 and dist.get_rank() > 0:
        logging.disable(logging.INFO)
    _led = []
    try:
        yield
        for model in _led:
            serve(model)  # until the others have heard that this was all
    except _Finished:
        if joins:
            raise SystemExit(0) from None
    finally:
        _led = None
        if joins:
            dist.destroy_process_group()


def _join(role: Role, device: str) -> None:
    if device == "cuda":
        torch.cuda.set_device(_number(_LOCAL_RANK, role.rank))
    backend = "nccl" if device == "cuda" else "gloo"
    dist.init_process_group(
        backend, role.method, rank=role.rank, world_size=role.ranks, timeout=_JOINING
    )


def lead(model: nn.Module) -> None:
    """Go on as rank 0; as any other rank, answer until rank 0 has finished, then leave the team.

    Args:
        model: that has been loaded, on its device.

    Raises:
        InputError: if there are several processes, but its memory is not sharded.
        RankLost: if another rank has ended.
    """
    if _led is None or number_of_ranks() == 1:
        return
    if not sharded_in(model):
        raise InputError(
            f"{number_of_ranks()} processes were started, but the model has no sharded memory; "
            "start one, or give --memory-sharded, in fairseq-generate "
            "--model-overrides \"{'memory_sharded': True}\""
        )
    if dist.get_rank() == 0:
        _led.append(model)
        return
    serve(model)
    raise _Finished
