"""Examples of algorithmic tasks as fairseq datasets."""

from collections.abc import Callable
from typing import Any

import torch
from fairseq.data import Dictionary
from fairseq.data.language_pair_dataset import collate
from torch import Tensor

from fairseq_plugins.data.drawn import DrawnDataset

Draw = Callable[[int, int], tuple[list[str], list[str]]]


class AlgorithmicDataset(DrawnDataset):
    """Sources and targets, generated on the fly; all examples of a batch have the same length.

    Args:
        draw: number and length of an example -> symbols of source and target.
        length: number of a batch -> length of its examples.
        dictionary: of the symbols.
        batches: number of batches in an epoch.
        batch_size: number of examples in a batch.
    """

    def __init__(
        self,
        draw: Draw,
        length: Callable[[int], int],
        dictionary: Dictionary,
        batches: int,
        batch_size: int,
    ) -> None:
        super().__init__(batches, batch_size)
        self.draw, self.length, self.dictionary = draw, length, dictionary

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return example ``index``: its number, source and target [length], each with an end."""
        source, target = self.draw(index, self.length(index // self.batch_size))
        return {"id": index, "source": self._numbers(source), "target": self._numbers(target)}

    def _numbers(self, symbols: list[str]) -> Tensor:
        eos = self.dictionary.eos()
        return torch.tensor([*map(self.dictionary.index, symbols), eos])

    def collater(self, samples: list[dict[str, Any]]) -> dict[str, Any]:
        """Return a batch in the form of fairseq's translation."""
        words = self.dictionary
        return collate(samples, words.pad(), words.eos(), left_pad_source=False)


def make_dictionary(symbols: list[str]) -> Dictionary:
    """Create a dictionary of symbols, in their order."""
    dictionary = Dictionary()
    for symbol in symbols:
        dictionary.add_symbol(symbol)
    return dictionary


class Curriculum:
    """Lengths that grow during training; all lengths up to the limit take turns.

    Args:
        shortest: least length.
        longest: greatest length.
        batches: number of batches before the longest length is drawn; 0 for at once.
    """

    def __init__(self, shortest: int, longest: int, batches: int) -> None:
        self.shortest, self.longest, self.batches = shortest, longest, batches

    def __call__(self, batch: int) -> int:
        """Return the length of batch number ``batch``."""
        done = min(1.0, (batch + 1) / self.batches) if self.batches else 1.0
        limit = self.shortest + int(done * (self.longest - self.shortest))
        return self.shortest + batch % (limit - self.shortest + 1)


class CutAtFirst(Curriculum):
    """Shortens every second batch at first, all lengths in turn; later all have the longest length.

    Short examples teach computation along the sequence, but attention forms sooner if all sequences
    have the same length.
    """

    def __call__(self, batch: int) -> int:
        """Return the length of batch number ``batch``."""
        if batch >= self.batches or batch % 2 == 0:
            return self.longest
        return self.shortest + batch // 2 % (self.longest - self.shortest + 1)
