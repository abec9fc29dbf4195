"""Mean and deviation of numbers from several seeds."""

import math
import statistics
from collections.abc import Iterable
from typing import NamedTuple


class Spread(NamedTuple):
    """Mean and sample standard deviation."""

    mean: float
    deviation: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} ± {self.deviation:.2f}"


def spread(numbers: Iterable[float]) -> Spread:
    """Summarise one number per seed; a single one has deviation 0, and NaN makes both NaN."""
    found = list(numbers)
    mean = statistics.fmean(found)
    if math.isnan(mean):
        return Spread(mean, mean)
    return Spread(mean, statistics.stdev(found) if len(found) > 1 else 0.0)
