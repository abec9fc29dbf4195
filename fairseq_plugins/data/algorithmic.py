"""Examples of algorithmic tasks as fairseq's datasets."""

from collections.abc import Callable
from typing import Any

import torch
from fairseq.data import Dictionary
from fairseq.data.language_pair_dataset import collate
from torch import Tensor

from fairseq_plugins.data.drawn import DrawnDataset

Draw = Callable[[int, int], tuple[list[str], list[str]]]


class AlgorithmicDataset(DrawnDataset):
    """Sources and targets, drawn on the fly; all examples of a batch are of one length.

    Args:
        draw: number and length of an example -> symbols of source and target.
        length: number of a batch -> length of its examples.
        dictionary: of the symbols.
        batches: in an epoch.
        batch_size: examples in a batch.
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
        """Example ``index``: its number, source and target [length], each with an end."""
        source, target = self.draw(index, self.length(index // self.batch_size))
        return {"id": index, "source": self._numbers(source), "target": self._numbers(target)}

    def _numbers(self, symbols: list[str]) -> Tensor:
        eos = self.dictionary.eos()
        return torch.tensor([*map(self.dictionary.index, symbols), eos])

    def collater(self, samples: list[dict[str, Any]]) -> dict[str, Any]:
        """A batch as fairseq's translation makes it."""
        words = self.dictionary
        return collate(samples, words.pad(), words.eos(), left_pad_source=False)


def make_dictionary(symbols: list[str]) -> Dictionary:
    """A dictionary of these symbols, in their order."""
    dictionary = Dictionary()
    for symbol in symbols:
        dictionary.add_symbol(symbol)
    return dictionary


class Curriculum:
    """Lengths that grow while training goes on; all up to the limit take turns.

    Args:
        shortest: length.
        longest: length.
        batches: after which the longest ones are drawn, too; 0 for at once.
    """

    def __init__(self, shortest: int, longest: int, batches: int) -> None:
        self.shortest, self.longest, self.batches = shortest, longest, batches

    def __call__(self, batch: int) -> int:
        """The length of batch number ``batch``."""
        done = min(1.0, (batch + 1) / self.batches) if self.batches else 1.0
        limit = self.shortest + int(done * (self.longest - self.shortest))
        return self.shortest + batch % (limit - self.shortest + 1)


class CutAtFirst(Curriculum):
    """At first every other batch is cut, all lengths taking turns; then there are only the longest.

    Short ones teach to compute along the sequence; but an attention that has yet to be learned
    forms sooner where all sequences are of one length.
    """

    def __call__(self, batch: int) -> int:
        """The length of batch number ``batch``."""
        if batch >= self.batches or batch % 2 == 0:
            return self.longest
        return self.shortest + batch // 2 % (self.longest - self.shortest + 1)
