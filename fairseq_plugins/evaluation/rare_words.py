"""Counts how many words a translation gets right, by how often they occur in training.

BLEU hardly reflects rare words; this is the metric for which a memory is built.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Lowest and highest number of occurrences in training; None for no limit.
FREQUENCIES: tuple[tuple[int, int | None], ...] = (
    (0, 0),
    (1, 1),
    (2, 5),
    (6, 20),
    (21, 100),
    (101, None),
)


@dataclass(frozen=True)
class Bucket:
    """The reference words of one range of frequencies in training."""

    lowest: int
    highest: int | None
    total: int
    """Number of words in the references."""
    right: int
    """Number of these words that are also in the translation of the same sentence."""

    @property
    def label(self) -> str:
        """The range for people: ``0``, ``2-5``, ``>100``."""
        if self.highest is None:
            return f">{self.lowest - 1}"
        return str(self.lowest) if self.lowest == self.highest else f"{self.lowest}-{self.highest}"

    @property
    def accuracy(self) -> float:
        """Share of words that are correct; NaN if there are none."""
        return self.right / self.total if self.total else float("nan")


def accuracy_by_frequency(
    hypotheses: Sequence[str], references: Sequence[str], training: Iterable[str]
) -> list[Bucket]:
    """Count correct words by their frequency in training.

    A word of a reference counts as correct as often as the hypothesis contains it, but at most as
    often as the reference contains it: min(count in reference, count in hypothesis), like BLEU's
    clipped unigrams but from the reference's side.

    Args:
        hypotheses: one per sentence, words separated by spaces.
        references: of the same number.
        training: target sentences of the training corpus.

    Returns:
        One bucket for each of ``FREQUENCIES``.

    Raises:
        ValueError: if the numbers of hypotheses and references differ.
    """
    seen = Counter(word for line in training for word in line.split())
    total: Counter[int] = Counter()
    right: Counter[int] = Counter()
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        found = Counter(hypothesis.split())
        for word, count in Counter(reference.split()).items():
            lowest = _lowest(seen[word])
            total[lowest] += count
            right[lowest] += min(count, found[word])
    return [Bucket(low, high, total[low], right[low]) for low, high in FREQUENCIES]


def _lowest(frequency: int) -> int:
    """Return the lower end of the range of a frequency."""
    return max(low for low, _ in FREQUENCIES if low <= frequency)
