"""Ranks of a training find each other."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fairseq import options
from fairseq.dataclass.configs import DistributedTrainingConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from fairseq_plugins.experiments import launching
from fairseq_plugins.experiments.launching import HYDRA, TRAIN, rank_arguments

MEETING = Path("/tmp/a folder (of mine)/meeting")


def settings(name: str, rank: int) -> DistributedTrainingConfig:
    """Return what fairseq understands."""
    given = rank_arguments(name, rank, 3, MEETING)
    if name == TRAIN:
        parser = options.get_parser("test")
        options.add_distributed_training_args(parser)
        found = vars(parser.parse_args(given))
    else:
        parsed = OverridesParser.create().parse_overrides(given)
        values = {one.key_or_group: one.value() for one in parsed}
        assert values.pop("common.cpu") is True
        found = {key.removeprefix("distributed_training."): v for key, v in values.items()}
    return OmegaConf.merge(
        OmegaConf.structured(DistributedTrainingConfig),
        {key: v for key, v in found.items() if hasattr(DistributedTrainingConfig, key)},
    )  # type: ignore[return-value]


@pytest.mark.parametrize("name", [TRAIN, HYDRA])
def test_ranks_meet_in_a_file_of_any_name(name: str) -> None:
    found = [settings(name, rank) for rank in range(3)]
    assert [one.distributed_rank for one in found] == [0, 1, 2]
    assert {one.distributed_world_size for one in found} == {3}
    assert {one.distributed_init_method for one in found} == {f"file://{MEETING}"}
    assert all(one.distributed_no_spawn is True for one in found)


@pytest.mark.parametrize(
    ("ends", "rank", "status"),
    [([(None, 1, 1)], 1, 1), ([(None, None, None), (1, -9, None)], 1, -9), ([(-9, 1, 1)], 0, -9)],
)
def test_the_rank_that_was_killed_is_named_though_others_have_failed_by_then(
    ends: list, rank: int, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    def poll(statuses: Any) -> Any:
        return SimpleNamespace(poll=lambda: next(statuses))

    ranks = [poll(iter(of_one)) for of_one in zip(*ends, strict=True)]
    with caplog.at_level(logging.ERROR):
        assert launching._wait(ranks) == abs(status)
    assert caplog.messages == [f"Rank {rank} ended with status {status}; ending the others"]
