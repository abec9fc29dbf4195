"""The options of a memory, and the memory that they create."""

from dataclasses import fields
from typing import Any

import pytest
import torch
from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from omegaconf import OmegaConf

from fairseq_plugins.commands import PLUGINS
from fairseq_plugins.memory import KeyValueMemory, MemoryConfig
from fairseq_plugins.memory.config import settings_of
from fairseq_plugins.modules.memory_options import MemoryOptions, SearchName, empty_memory


def configured(task: str, arch: str, *arguments: object) -> Any:
    """Return the model's part of the configuration that fairseq-train makes of a command line."""
    words = ["data", "--user-dir", PLUGINS, "--task", task, "--arch", arch, "--batch-size", "5"]
    parsed = options.parse_args_and_arch(
        options.get_training_parser(), [str(word) for word in (*words, *arguments)]
    )
    return convert_namespace_to_omegaconf(parsed).model


def forgotten(memory: KeyValueMemory) -> list[int]:
    """Return the pair that a full memory forgets first."""
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


def test_every_option_reaches_the_memory() -> None:
    options = MemoryOptions(
        memory_size=7, memory_key_dim=5, memory_neighbors=3, memory_margin=0.3,
        memory_age_noise=2.0, memory_search_dtype="float32", seed=9,
    )  # fmt: skip
    settings = {field.name for field in fields(MemoryConfig)}
    names = {field.name.removeprefix("memory_") for field in fields(MemoryOptions)}
    chooses = {"sharded"}  # the class
    assert names - chooses <= settings, "options that nothing makes use of"
    memory = empty_memory(options, num_values=4)
    assert settings_of(memory) == {
        "size": 7, "key_dim": 5, "num_values": 4, "neighbors": 3, "margin": 0.3, "age_noise": 2.0,
        "seed": 9,
    }  # fmt: skip


def test_options_that_know_no_seed_make_a_memory() -> None:
    old = OmegaConf.create(vars(MemoryOptions()))  # of a checkpoint before there was one
    del old["seed"]
    for given in (old, MemoryOptions(), OmegaConf.structured(MemoryOptions())):
        assert empty_memory(given, num_values=3).seed == 1


@pytest.mark.parametrize(
    ("name", "made"),
    [
        *((name, True) for name in ("auto", "exact", "ivf", "lsh", "faiss:IVF16,SQ8")),
        *((name, False) for name in ("", "nosuch", "faiss:HNSW32", "faiss:nonsense")),
    ],
)
def test_only_searches_that_can_be_made_are_allowed(name: str, made: bool) -> None:
    assert (name in SearchName()) == made
