"""The classifier of drawings, as timed by its benchmark."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fairseq_plugins.autocast import context
from fairseq_plugins.benchmarks.duel import Stopwatch, Turn
from fairseq_plugins.benchmarks.training import SEED, Trained
from fairseq_plugins.modules.convnet import NETWORKS, ConvEmbedder
from fairseq_plugins.modules.one_shot import neighborhood_loss

SPLIT = "all"
DRAWERS, SIZE, KEY_DIM = 20, 28, 64
TEMPERATURE, RATE = 0.1, 0.002
NETWORK = "wide"  # that of the published configuration


def make_drawings(folder: Path, classes: int) -> None:
    """Write a prepared folder with random drawings; only their number and size matter."""
    rng = np.random.default_rng(SEED)
    images = rng.integers(256, size=(classes, DRAWERS, SIZE, SIZE), dtype=np.uint8)
    names = [f"character{number}" for number in range(classes)]
    alphabets = ["made-up"] * classes
    np.savez(folder / f"omniglot_{SIZE}.npz", images=images, alphabets=alphabets, characters=names)
    parts = {"train": [f"made-up/{name}" for name in names]}
    splits = {SPLIT: {"parts": parts, "turns": {"train": [0]}}}
    (folder / "splits.json").write_text(json.dumps(splits))


class OneShotTraining(Trained):
    """A contender that trains with fairseq's Trainer; its unit of work is drawings.

    Args:
        folder: of the drawings.
        classes: in a batch, with two drawings of each.
        slots: of the memory.
        autocast: number format.
        updates: per turn.
        asks: whether the memory is queried and written to.
        device: ``cpu`` or ``cuda``.
    """

    def __init__(
        self, folder: Path, classes: int, slots: int, autocast: str, updates: int, asks: bool,
        device: str,
    ) -> None:  # fmt: skip
        arguments = [
            folder, "--task", "omniglot", "--split", SPLIT, "--autocast", autocast,
            "--arch", "omniglot_convnet_memory", "--network", NETWORK, "--memory-size", slots,
            "--memory-key-dim", KEY_DIM, "--criterion", "one_shot", "--batch-size", classes,
            "--optimizer", "adam", "--lr", RATE,
        ]  # fmt: skip
        super().__init__(folder, arguments, device, updates)
        if not asks:
            self.trainer.criterion._learn = lambda memory, query, target: (0.0, {})


class ContiguousEmbedder(ConvEmbedder):
    """The same network with torch's default layout, where maps follow each other in memory."""

    layout = torch.contiguous_format


class PlainTraining:
    """The same embedder and loss in a loop of ten lines, without fairseq and without a memory.

    Args:
        dataset: the batches.
        autocast: number format.
        updates: per turn.
        device: ``cpu`` or ``cuda``.
        kind: of embedder.
    """

    def __init__(
        self, dataset: Any, autocast: str, updates: int, device: str,
        kind: type[ConvEmbedder] = ConvEmbedder,
    ) -> None:  # fmt: skip
        torch.manual_seed(SEED)
        embedder = kind(NETWORKS[NETWORK], SIZE)
        self.model = nn.Sequential(embedder, nn.Linear(embedder.width, KEY_DIM)).to(device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=RATE)
        self.dataset, self.autocast, self.updates = dataset, autocast, updates
        self.device = device

    def __call__(self, number: int) -> Turn:
        """Train on the batches of this turn; the unit of work is drawings."""
        first = number * self.updates
        samples = [self.dataset[index] for index in range(first, first + self.updates)]
        with Stopwatch(self.device) as watch:
            for sample in samples:
                images = sample["net_input"]["images"].to(self.device)
                target = sample["target"].to(self.device)
                with context(self.autocast, self.device):
                    query = self.model(images).float()
                loss = neighborhood_loss(query, target, TEMPERATURE).mean()
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
        return Turn(watch.seconds, sum(len(sample["target"]) for sample in samples))
