"""Workers wait for each other where one may have more to ask its memory than others."""

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from fairseq_plugins.memory.sharded import ShardedMemory
from fairseq_plugins.tasks.committing import CommitsMemory
from tests.ranks import ranks


class Validates:
    """Asks more on one worker than on another, as translations of different lengths do."""

    def valid_step(self, sample: Any, model: nn.Module, criterion: Any) -> tuple:
        for _ in range(1 + 2 * dist.get_rank()):
            model[0].query(torch.ones(1, 3))
        return sample


class Task(CommitsMemory, Validates):
    pass


def validate(rank: int) -> list[int]:
    model = nn.Sequential(ShardedMemory(4, 3, 2))
    found = []
    for step in range(3):
        found.append(Task().valid_step(step, model, None))
        total = torch.tensor(step)
        dist.all_reduce(total)  # as fairseq does with what it logs
        found.append(int(total))
    return found


def test_a_worker_that_has_validated_answers_the_others(tmp_path: Path) -> None:
    with ranks(2, tmp_path) as two:
        assert two(validate) == [[0, 0, 1, 2, 2, 4]] * 2
