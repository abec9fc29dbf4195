"""What can be set on a key-value memory, and why each default is what it is.

Here alone: constructor, snapshots and the options of models take names and defaults from here.
"""

import math
from dataclasses import dataclass, field, fields
from typing import Any

STORAGES = ("ram", "mmap")


@dataclass(frozen=True)
class MemorySettings:
    """What a memory is, wherever it is used (Kaiser et al. 2017, sections 2 and 3).

    Raises:
        ValueError: if a size is not positive, or a number not finite.
    """

    size: int
    """Slots. A slot costs 6 bytes x key_dim."""

    key_dim: int
    """Width of the keys, and so of the queries."""

    num_values: int
    """Values are integers in [0, num_values): token ids or class labels."""

    neighbors: int = 256
    """k, the number of nearest slots that answer a query (256 in the paper's code)."""

    margin: float = 0.1
    """alpha of the margin loss; it also determines the temperature of the confidence."""

    age_noise: float = 8.0
    """Ages are compared after uniform noise in [-age_noise, age_noise] is added, so that several
    memories trained in parallel do not all forget the same slot."""

    seed: int = field(default=1, kw_only=True)
    """Seed of the noise on the ages."""

    def __post_init__(self) -> None:
        for name in ("size", "key_dim", "num_values", "neighbors", "margin"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"memory {name} must be positive, not {getattr(self, name)}")
        if not 0 <= self.age_noise < math.inf:
            raise ValueError(f"memory age_noise must not be negative, not {self.age_noise}")

    @property
    def temperature(self) -> float:
        """t of the softmax over similarities: a neighbour that is better than the others by alpha
        weighs as much as a fifth of k of them; about 39 for k = 256 (40 in the paper)."""
        return max(1.0, math.log(0.2 * self.neighbors) / self.margin)


@dataclass(frozen=True)
class MemoryConfig(MemorySettings):
    """The same, and how the memory is searched, which may differ from machine to machine."""

    search: str = "exact"
    """Name of the search, see ``search.NAMES``."""

    search_dtype: str = "auto"
    """Type of the first, coarse product: float32, bfloat16, float16 or auto (bfloat16 where it is
    native). The results are the same, because the best slots are scored in float32."""

    search_budget_mb: int = 64
    """Largest similarity matrix held at once, in MiB; larger batches of queries are split."""

    recall: float = 0.99
    """Share of exact search's answers that an approximate search must give, see
    ``search.recall``."""

    storage: str = "ram"
    """Where the keys of a loaded memory are: ``ram``, or ``mmap`` to leave them in the file that
    they were loaded from. Changes are kept in main memory."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.recall <= 1:
            raise ValueError(f"memory recall must be above 0 and at most 1, not {self.recall}")
        if self.storage not in STORAGES:
            raise ValueError(f"memory storage {self.storage!r} is not one of {', '.join(STORAGES)}")


def settings_of(memory: object) -> dict[str, Any]:
    """Return the :class:`MemorySettings` of something that has them, by name."""
    return {field.name: getattr(memory, field.name) for field in fields(MemorySettings)}
