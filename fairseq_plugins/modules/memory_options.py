"""Options of a model for its memory, and the memory that they create."""

from dataclasses import dataclass, fields
from typing import Any

from omegaconf import II

from fairseq_plugins.memory import KeyValueMemory, MemoryConfig
from fairseq_plugins.memory.collective import number_of_ranks
from fairseq_plugins.memory.config import STORAGES
from fairseq_plugins.memory.search import NAMES, create
from fairseq_plugins.memory.search.mirror import DTYPES
from fairseq_plugins.memory.sharded import ShardedMemory
from fairseq_plugins.modules.memory_reader import GATES
from fairseq_plugins.modules.options import SIZE, SLOTS, UPDATES, OneOf, Range, option

_USUAL_WIDTH = 128  # of keys


class SearchName(OneOf):
    """The name of a search that can be made here."""

    def __init__(self) -> None:
        super().__init__(NAMES)

    def __contains__(self, name: str) -> bool:
        """Return whether a memory of the usual width can be searched in this way."""
        try:
            create(MemoryConfig(1, _USUAL_WIDTH, 1, search=name))
        except ValueError:
            return False
        return True

    def __str__(self) -> str:
        """Return the names, and what they need."""
        return (
            f"{super().__str__()}; ivf and faiss:FACTORY need faiss, and FACTORY is an index with "
            "inverted lists from which it can remove, such as IVF1024,SQ8"
        )


@dataclass
class MemoryOptions:
    """Options of all models with a memory; some models have other defaults."""

    memory_size: int = option(8192, "number of slots of the memory", SLOTS)
    memory_key_dim: int = option(64, "width of the memory's keys", SIZE)
    memory_neighbors: int = option(32, "k, the number of nearest slots that answer a query", SIZE)
    memory_margin: float = option(0.1, "alpha of the margin loss", Range(above=0, most=2))
    memory_age_noise: float = option(
        8.0, "noise on the ages, in commits, when a slot must be forgotten", Range(least=0)
    )
    memory_search: str = option(
        "auto",
        "method of nearest-neighbour search: exact; ivf, inverted lists of faiss; lsh, random "
        "hyperplanes; any other inverted lists that faiss can build, such as faiss:IVF1024,SQ8; "
        "auto is exact for few slots and ivf for many",
        SearchName(),
    )
    memory_recall: float = option(
        0.99,
        "share of exact search's answers, as distributions over values, that an approximate search "
        "must give",
        Range(above=0, most=1),
    )
    memory_search_dtype: str = option(
        "auto",
        "number format of the coarse product; it does not affect the results",
        OneOf(["auto", *DTYPES]),
    )
    memory_storage: str = option(
        "ram",
        "where the memory's keys are: ram, in the checkpoint; or mmap, in a file beside it, of "
        "which main memory holds only what was used lately",
        OneOf(STORAGES),
    )
    memory_sharded: bool = option(
        False,
        "divide the memory's keys among the processes of the program; each searches its own for "
        "all of them",
    )
    seed: int = II("common.seed")  # of the training, for the noise on the ages


@dataclass
class JoiningMemoryOptions(MemoryOptions):
    """Options for a network that must first learn what to ask."""

    memory_from_update: int = option(
        0,
        "number of updates before the model reads the memory; until then it learns what to ask",
        UPDATES,
    )


@dataclass
class MixingMemoryOptions(JoiningMemoryOptions):
    """Options for a network that mixes answers into its softmax."""

    memory_gate: str = option(
        "state",
        "what decides the share of the memory's answer: the state before the logits and the "
        "neighbours; the neighbours alone, as in adaptive kNN-MT; or nothing, so that it is "
        "constant, as in kNN-MT",
        OneOf(GATES),
    )
    memory_sure: float = option(
        1.0,
        "when generating, do not ask the memory where the softmax gives its best word at least "
        "this probability, unless a lesson is near; 1 asks it always",
        Range(above=0, most=1),
    )


def empty_memory(options: Any, num_values: int) -> KeyValueMemory:
    """Create the memory of a model's configuration.

    Args:
        options: with the fields of :class:`MemoryOptions`; one that is newer than the model has its
            default.
        num_values: values are integers in [0, num_values).

    Raises:
        ValueError: if one of them is out of range, or if they cannot be combined.
    """
    given = {
        field.name: getattr(options, name, getattr(MemoryOptions, name))
        for field in fields(MemoryConfig)
        if hasattr(MemoryOptions, name := f"memory_{field.name}")
    }
    divided = getattr(options, "memory_sharded", False) and number_of_ranks() > 1
    kind = ShardedMemory if divided else KeyValueMemory
    return kind(num_values=num_values, seed=_seed(options), **given)


def _seed(options: Any) -> int:
    """Return the training's seed; the default if the configuration has none, or is older."""
    try:
        seed = getattr(options, "seed", None)
    except ValueError:  # no configuration with a seed around them
        seed = None
    return seed if isinstance(seed, int) else MemoryConfig.seed
