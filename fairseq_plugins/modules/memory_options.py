"""What a model lets its user say about its memory, and the memory that comes of it."""

from dataclasses import dataclass, fields
from typing import Any

from omegaconf import II

from fairseq_plugins.memory import KeyValueMemory, MemoryConfig
from fairseq_plugins.memory.search import BACKENDS
from fairseq_plugins.memory.search.mirror import DTYPES
from fairseq_plugins.modules.options import SIZE, SLOTS, UPDATES, OneOf, Range, option


@dataclass
class MemoryOptions:
    """Options of all models with a memory; a default may be another one in some of them."""

    memory_size: int = option(8192, "slots of the memory", SLOTS)
    memory_key_dim: int = option(64, "width of the memory's keys", SIZE)
    memory_neighbors: int = option(32, "k, how many nearest slots answer a query", SIZE)
    memory_margin: float = option(0.1, "alpha of the margin loss", Range(above=0, most=2))
    memory_age_noise: float = option(
        8.0, "noise on the ages when a slot has to be forgotten", Range(least=0)
    )
    memory_search: str = option("exact", "nearest-neighbour backend", OneOf(BACKENDS))
    memory_search_dtype: str = option(
        "auto", "type of the coarse product; results do not depend on it", OneOf(["auto", *DTYPES])
    )
    seed: int = II("common.seed")  # of the training, for the noise on the ages


@dataclass
class JoiningMemoryOptions(MemoryOptions):
    """The same for a network that first has to learn what to ask."""

    memory_from_update: int = option(
        0,
        "the memory joins in after so many updates, when the rest of the network knows what to ask",
        UPDATES,
    )


def empty_memory(options: Any, num_values: int) -> KeyValueMemory:
    """Make a memory as a model's configuration wants it.

    Args:
        options: with the fields of :class:`MemoryOptions`.
        num_values: values are integers in [0, num_values).

    Raises:
        ValueError: if one of them is out of range.
    """
    given = {
        field.name: getattr(options, f"memory_{field.name}")
        for field in fields(MemoryConfig)
        if hasattr(MemoryOptions, f"memory_{field.name}")
    }
    return KeyValueMemory(num_values=num_values, seed=_seed(options), **given)


def _seed(options: Any) -> int:
    """The training's seed; the memory's own default where options stand alone, or are older."""
    try:
        seed = getattr(options, "seed", None)
    except ValueError:  # there is no configuration around them that has a seed
        seed = None
    return seed if isinstance(seed, int) else MemoryConfig.seed
