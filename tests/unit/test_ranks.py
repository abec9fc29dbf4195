"""Processes learn from their launcher which rank they are."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fairseq.distributed import utils as distributed_utils
from torch import nn

from fairseq_plugins.errors import InputError
from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory.sharded import ShardedMemory
from fairseq_plugins.ranks import MEETING, Role, launched, lead, team
from tests.ranks import ranks

TORCHRUN = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
SLURM = {"SLURM_PROCID": "1", "SLURM_NTASKS": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
OURS = {"RANK": "1", "WORLD_SIZE": "2", MEETING: "file:///tmp/x"}


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {*TORCHRUN, *SLURM, *OURS}:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variables", "role"),
    [
        (TORCHRUN, Role(1, 2, "env://")),
        (SLURM, Role(1, 2, "env://")),
        (OURS, Role(1, 2, "file:///tmp/x")),
        (TORCHRUN | {"WORLD_SIZE": "1"}, None),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, None),  # they cannot meet
        ({}, None),
    ],
)
def test_a_process_knows_its_role(
    variables: dict[str, str], role: Role | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert launched() == role


def test_a_training_that_torchrun_starts_on_cpus_is_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    cfg = SimpleNamespace(distributed_init_method=None)
    distributed_utils.infer_init_method(cfg)
    assert vars(cfg) == {
        "distributed_init_method": "env://", "distributed_rank": 1, "distributed_world_size": 2,
        "device_id": 0, "distributed_no_spawn": True, "distributed_backend": "gloo",
        "ddp_backend": "legacy_ddp",
    }  # fmt: skip


def test_a_process_that_is_alone_leads_nobody() -> None:
    lead(nn.Linear(1, 1))
    with team("cpu"):
        lead(nn.Linear(1, 1))


def lead_a_whole_memory(_: int) -> str:
    with pytest.raises(InputError) as refused, team("cpu"):
        lead(nn.Sequential(KeyValueMemory(4, 3, 2)))
    return str(refused.value)


def test_processes_without_a_divided_memory_are_refused(tmp_path: Path) -> None:
    with ranks(2, tmp_path) as two:
        for message in two(lead_a_whole_memory):
            assert message.startswith("2 processes were started, but the model has no sharded")
            assert "\n" not in message


def work(rank: int) -> list[int]:
    done = []
    with team("cpu"):
        model = nn.Sequential(ShardedMemory(4, 3, 2))
        lead(model)
        model[0].write(torch.eye(3), torch.tensor([0, 1, 0]))
        done = model[0].query(torch.eye(3)).values[:, 0].tolist()
    logging.disable(logging.NOTSET)
    return done


def test_rank_0_works_and_the_others_answer(tmp_path: Path) -> None:
    with ranks(2, tmp_path) as two:
        assert two(work) == [[0, 1, 0], []]
