"""The task that needs a memory: computing along a sequence and looking up rare symbols.

A source of length n interleaves n control bits and n symbols, b_1 x_1 b_2 x_2 ... b_n x_n. The
target has n symbols: y_i = x_i where the parity of b_1 ... b_i is even, and y_i = f(x_i) where it
is odd. f is a random one-to-one function over thousands of symbols, determined by the seed; only
examples reveal it. Symbols follow Zipf's law, so f of most of them is seldom or never shown:

    source   0 s7   1 s2   0 s7   1 s9
    parity   even   odd    odd    even
    target   s7     f(s2)  f(s7)  s9

The training text is finite, so that "seen once" has a meaning: example i is the same every time.
The number of times a symbol was seen is how often f of it was asked for in training.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

BITS = ["0", "1"]
BUCKETS = {"0": (0, 0), "1": (1, 1), "2-5": (2, 5), "6-20": (6, 20), ">20": (21, np.inf)}
FUNCTION, TRAINING = 0, 1  # purposes of random numbers
OTHER = 2  # texts other than the training text have numbers from here on


@dataclass(frozen=True)
class RareSymbols:
    """The function, and the texts.

    Attributes:
        symbols: number of symbols.
        examples: number of examples in the training text.
        length: n of the training text.
        seed: of the function and all texts.
        exponent: of Zipf's law: the share of the r-th most frequent symbol is ~ 1 / r^exponent.
    """

    symbols: int = 16_000
    examples: int = 20_000
    length: int = 10
    seed: int = 1
    exponent: float = 1.0

    @cached_property
    def names(self) -> list[str]:
        """Return the symbols and the control bits, as in the dictionary."""
        return [*BITS, *(f"s{number}" for number in range(self.symbols))]

    @cached_property
    def function(self) -> np.ndarray:
        """f [symbols] int64: a permutation."""
        return np.random.default_rng((self.seed, FUNCTION)).permutation(self.symbols)

    @cached_property
    def share(self) -> np.ndarray:
        """Probability of each symbol [symbols]; low numbers are frequent."""
        weight = 1 / np.arange(1, self.symbols + 1) ** self.exponent
        return weight / weight.sum()

    @cached_property
    def _training(self) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng((self.seed, TRAINING))
        shape = self.examples, self.length
        return rng.integers(2, size=shape), rng.choice(self.symbols, shape, p=self.share)

    @cached_property
    def seen(self) -> np.ndarray:
        """How often f of each symbol is asked for in the training text [symbols] int64."""
        bits, chosen = self._training
        asked = bits.cumsum(axis=1) % 2 == 1
        return np.bincount(chosen[asked], minlength=self.symbols)

    def training(self, index: int, length: int | None = None) -> tuple[list[str], list[str]]:
        """Return example ``index`` of the training text, which starts again after the last.

        Args:
            index: of the example.
            length: of its beginning, which is also an example; None for all of it.
        """
        bits, chosen = self._training
        row = index % self.examples
        return self.example(bits[row, :length], chosen[row, :length])

    def test(
        self, text: int, index: int, length: int, bucket: str | None = None
    ) -> tuple[list[str], list[str]]:
        """Return example ``index`` of another text.

        Args:
            text: its number, from 0.
            index: of the example.
            length: n.
            bucket: of its symbols; None for all of them.

        Returns:
            Symbols of source and target.
        """
        rng = np.random.default_rng((self.seed, OTHER + text, index))
        buckets = [
            numbers
            for name, numbers in self.buckets.items()
            if len(numbers) and bucket in (None, name)
        ]
        chosen = [rng.choice(buckets[rng.integers(len(buckets))]) for _ in range(length)]
        return self.example(rng.integers(2, size=length), np.array(chosen))

    @cached_property
    def buckets(self) -> dict[str, np.ndarray]:
        """Group symbols by how often f of them was seen in training."""
        return {
            name: np.flatnonzero((self.seen >= low) & (self.seen <= high))
            for name, (low, high) in BUCKETS.items()
        }

    def example(self, bits: np.ndarray, chosen: np.ndarray) -> tuple[list[str], list[str]]:
        """Return source and target for control bits [n] and symbols [n]."""
        odd = bits.cumsum() % 2 == 1
        answers = np.where(odd, self.function[chosen], chosen)
        pairs = zip(bits.tolist(), chosen.tolist(), strict=True)
        source = [name for bit, symbol in pairs for name in (BITS[bit], f"s{symbol}")]
        return source, [f"s{answer}" for answer in answers.tolist()]
