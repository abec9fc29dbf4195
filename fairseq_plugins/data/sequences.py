"""Episodes for networks that learn within them: images one by one, labels one step later."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from fairseq_plugins.data.drawn import DrawnDataset
from fairseq_plugins.data.episodes import Distortion, draw, generator, to_float
from fairseq_plugins.data.omniglot import OmniglotImages

LETTERS = 5  # of a string label, and of its alphabet
LABELS = ("one-hot", "strings")


def label_codes(labels: str, ways: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a label for each class of an episode.

    Args:
        labels: ``one-hot``: one symbol of ``ways``; ``strings``: five letters of a to e
            (Santoro et al. 2016, section 4.1).
        ways: number of classes.
        rng: random numbers.

    Returns:
        [ways, positions] int64, symbols; all labels are distinct.
    """
    if labels == "one-hot":
        return rng.permutation(ways)[:, None]
    chosen = rng.choice(LETTERS**LETTERS, ways, replace=False)
    return chosen[:, None] // LETTERS ** np.arange(LETTERS) % LETTERS


def positions(labels: str) -> int:
    """Return the number of symbols of a label."""
    return 1 if labels == "one-hot" else LETTERS


def symbols(labels: str, ways: int) -> int:
    """Return the number of symbols that a position of a label can have."""
    return ways if labels == "one-hot" else LETTERS


class SequenceEpisodes(DrawnDataset):
    """Episodes with one drawing per step (Santoro et al. 2016, section 4.1).

    Classes, their labels, the drawings and their order are new in every episode. So a label can
    only be known from what the episode itself has shown before.

    Args:
        images: the classes to draw from.
        seed: of all draws.
        ways: number of classes in an episode.
        length: number of steps; classes are shown equally often, as far as possible.
        labels: ``one-hot`` or ``strings``.
        batches: number of batches in an epoch.
        batch_size: number of episodes in a batch.
        distortion: of the drawings.

    Raises:
        InputError: if there are fewer classes, or fewer drawings than showings.
    """

    def __init__(
        self,
        images: OmniglotImages,
        seed: int,
        ways: int,
        length: int,
        labels: str,
        batches: int,
        batch_size: int,
        distortion: Distortion | None = None,
    ) -> None:
        super().__init__(batches, batch_size)
        self.seed, self.ways, self.length, self.labels = seed, ways, length, labels
        self.showings = -(-length // max(ways, 1))  # an episode without classes is rejected below
        self.images = images.require(ways, self.showings)
        self.distortion = distortion or Distortion()

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return images [time, size, size], classes [time], target [time, positions]."""
        rng = generator(self.seed, index)
        rows, columns = draw(self.images, self.ways, self.showings, rng)
        pixels = self.images.images[rows, columns]  # [ways, showings, size, size]
        order = rng.permutation(self.ways * self.showings)[: self.length]
        way, showing = order // self.showings, order % self.showings
        codes = label_codes(self.labels, self.ways, rng)  # [ways, positions]
        return {
            "images": self.distortion(to_float(pixels[way, showing]), rng),
            "classes": torch.from_numpy(way),
            "target": torch.from_numpy(codes[way]),
        }

    def collater(self, samples: list[dict[str, Tensor]]) -> dict[str, Any]:
        """Return a batch; ``previous`` has the labels of the step before, one-hot, first zeros."""
        if not samples:
            return {}
        images, classes, target = (
            torch.stack([sample[name] for sample in samples])
            for name in ("images", "classes", "target")
        )
        known = torch.nn.functional.one_hot(target, symbols(self.labels, self.ways)).float()
        previous = torch.nn.functional.pad(known.flatten(2), (0, 0, 1, 0))[:, :-1]
        return {
            "net_input": {"images": images, "previous": previous},
            "target": target,  # [batch, time, positions]
            "classes": classes,  # [batch, time]
            "nsentences": len(target),
            "ntokens": classes.numel(),
        }
