"""Processes learn from their launcher which rank they are."""

from types import SimpleNamespace

import pytest
import torch
from fairseq.distributed import utils as distributed_utils
from torch import nn

from fairseq_plugins.ranks import MEETING, Role, launched, lead, team

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
