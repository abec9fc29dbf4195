"""From what a user says about a memory to the memory."""

from typing import Any

import pytest
import torch
from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from omegaconf import OmegaConf

from fairseq_plugins.commands import PLUGINS
from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.modules.memory_options import MemoryOptions, empty_memory


def configured(task: str, arch: str, *arguments: object) -> Any:
    """The model's part of the configuration that fairseq-train makes of a command line."""
    words = ["data", "--user-dir", PLUGINS, "--task", task, "--arch", arch, "--batch-size", "5"]
    parsed = options.parse_args_and_arch(
        options.get_training_parser(), [str(word) for word in (*words, *arguments)]
    )
    return convert_namespace_to_omegaconf(parsed).model


def forgotten(memory: KeyValueMemory) -> list[int]:
    """What a full memory forgets first."""
    generator = torch.Generator().manual_seed(1)
    for count, value in ((memory.size, 0), (5, 1)):
        query = torch.randn(count, memory.key_dim, generator=generator)
        report = memory.write(query, torch.full((count,), value))
    return report.slots.tolist()


@pytest.mark.parametrize(
    "names",
    [("translation_memory", "gnmt_memory_tiny"), ("omniglot", "omniglot_convnet_memory")],
)
def test_seed_of_the_training_decides_what_is_forgotten(names: tuple[str, str]) -> None:
    memories = [
        empty_memory(configured(*names, "--seed", seed, "--memory-size", 200), num_values=3)
        for seed in (1, 2, 2)
    ]
    first, second, again = (forgotten(memory) for memory in memories)
    assert first != second and second == again
    assert [memory.seed for memory in memories] == [1, 2, 2]


def test_options_that_know_no_seed_make_a_memory() -> None:
    old = OmegaConf.create(vars(MemoryOptions()))  # of a checkpoint before there was one
    del old["seed"]
    for given in (old, MemoryOptions(), OmegaConf.structured(MemoryOptions())):
        assert empty_memory(given, num_values=3).seed == 1
