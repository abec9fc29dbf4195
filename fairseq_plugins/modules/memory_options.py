"""What a model lets its user say about its memory, and the memory that comes of it."""

from dataclasses import dataclass, field
from typing import Any

from fairseq_plugins.memory import KeyValueMemory


@dataclass
class MemoryOptions:
    """Options of all models with a memory; a default may be another one in some of them."""

    memory_size: int = field(default=8192, metadata={"help": "slots of the memory"})
    memory_key_dim: int = field(default=64, metadata={"help": "width of the memory's keys"})
    memory_neighbors: int = field(
        default=32, metadata={"help": "k, how many nearest slots answer a query"}
    )
    memory_margin: float = field(default=0.1, metadata={"help": "alpha of the margin loss"})
    memory_age_noise: float = field(
        default=8.0, metadata={"help": "noise on the ages when a slot has to be forgotten"}
    )
    memory_search: str = field(default="exact", metadata={"help": "nearest-neighbour backend"})
    memory_search_dtype: str = field(
        default="auto",
        metadata={"help": "type of the coarse product; results do not depend on it"},
    )


@dataclass
class JoiningMemoryOptions(MemoryOptions):
    """The same for a network that first has to learn what to ask."""

    memory_from_update: int = field(
        default=0,
        metadata={"help": "the memory joins in after so many updates, when the rest of the network "
                          "knows what to ask"},
    )  # fmt: skip


def empty_memory(options: Any, num_values: int) -> KeyValueMemory:
    """Make a memory as a model's configuration wants it.

    Args:
        options: with the fields of :class:`MemoryOptions`.
        num_values: values are integers in [0, num_values).

    Raises:
        ValueError: if one of them is out of range.
    """
    return KeyValueMemory(
        size=options.memory_size,
        key_dim=options.memory_key_dim,
        num_values=num_values,
        neighbors=options.memory_neighbors,
        margin=options.memory_margin,
        age_noise=options.memory_age_noise,
        search=options.memory_search,
        search_dtype=options.memory_search_dtype,
    )
