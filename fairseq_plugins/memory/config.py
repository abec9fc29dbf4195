"""What can be set on a key-value memory, and why each default is what it is."""

import math
from dataclasses import dataclass


@dataclass
class MemoryConfig:
    """Settings of a :class:`KeyValueMemory` (Kaiser et al. 2017, sections 2 and 3)."""

    size: int = 8192
    """Slots. 8,192 is the paper's size for translation; a slot costs 6 bytes x key_dim."""

    key_dim: int = 128
    """Width of the keys, and so of the queries."""

    num_values: int = 0
    """Values are integers in [0, num_values): token ids or class labels."""

    neighbors: int = 256
    """k, how many nearest slots answer a query (256 in the paper's code)."""

    margin: float = 0.1
    """alpha of the margin loss; it also sets the temperature of the confidence."""

    age_noise: float = 8.0
    """Ages are compared after adding uniform noise in [-age_noise, age_noise], so that many
    memories trained side by side do not all forget the same slot."""

    search: str = "exact"
    """Name of the nearest-neighbour backend, see ``search.BACKENDS``."""

    search_dtype: str = "auto"
    """Type of the first, coarse product: float32, bfloat16, float16 or auto (bfloat16 where the
    processor multiplies it natively). Results are the same: the best are scored in float32."""

    search_budget_mb: int = 64
    """Largest similarity matrix held at once, in MiB; longer batches of queries are cut."""

    seed: int = 1
    """Of the noise on the ages."""

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            ValueError: if a size is not positive, or a number not finite.
        """
        for name in ("size", "key_dim", "num_values", "neighbors", "margin"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"memory {name} must be positive, not {getattr(self, name)}")
        if not 0 <= self.age_noise < math.inf:
            raise ValueError(f"memory age_noise must not be negative, not {self.age_noise}")
