"""The classifier of drawings at work: what its benchmark times."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fairseq import options, tasks, utils
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.trainer import Trainer
from torch import nn

from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.modules.convnet import NETWORKS, ConvEmbedder
from fairseq_plugins.modules.one_shot import neighborhood_loss
from fairseq_plugins.tools.benchmark import Stopwatch, Turn

SEED, SPLIT = 1, "all"
DRAWERS, SIZE, KEY_DIM = 20, 28, 64
TEMPERATURE, RATE = 0.1, 0.002
NETWORK = "wide"  # that of the shipped configuration


def make_drawings(folder: Path, classes: int) -> None:
    """Write a prepared folder with made-up drawings; only their number and size matter."""
    rng = np.random.default_rng(SEED)
    images = rng.integers(256, size=(classes, DRAWERS, SIZE, SIZE), dtype=np.uint8)
    names = [f"character{number}" for number in range(classes)]
    alphabets = ["made-up"] * classes
    np.savez(folder / f"omniglot_{SIZE}.npz", images=images, alphabets=alphabets, characters=names)
    parts = {"train": [f"made-up/{name}" for name in names]}
    splits = {SPLIT: {"parts": parts, "turns": {"train": [0]}}}
    (folder / "splits.json").write_text(json.dumps(splits))


class OneShotTraining:
    """A contender that trains with fairseq's Trainer.

    Args:
        folder: of the drawings.
        classes: a batch, with two drawings of each.
        slots: of the memory.
        autocast: number format.
        updates: a turn.
        asks: whether the memory is asked, and written to.
        device: ``cpu`` or ``cuda``.
    """

    def __init__(
        self, folder: Path, classes: int, slots: int, autocast: str, updates: int, asks: bool,
        device: str,
    ) -> None:  # fmt: skip
        command = [
            folder, "--task", "omniglot", "--split", SPLIT, "--autocast", autocast,
            "--arch", "omniglot_convnet_memory", "--network", NETWORK, "--memory-size", slots,
            "--memory-key-dim", KEY_DIM, "--criterion", "one_shot", "--batch-size", classes,
            "--optimizer", "adam", "--lr", RATE, "--seed", SEED, "--save-dir", folder / "saved",
        ] + (["--cpu"] if device == "cpu" else [])  # fmt: skip
        parsed = options.parse_args_and_arch(options.get_training_parser(), [*map(str, command)])
        cfg = convert_namespace_to_omegaconf(parsed)
        utils.set_torch_seed(SEED)
        task = tasks.setup_task(cfg.task)
        model = task.build_model(cfg.model)
        task.load_dataset("train")
        self.dataset, self.device, self.updates = task.dataset("train"), device, updates
        self.trainer = Trainer(cfg, task, model, task.build_criterion(cfg.criterion))
        self.trainer.begin_epoch(1)
        if not asks:
            self.trainer.criterion._learn = lambda memory, query, target: (query.new_zeros(()), {})

    def __call__(self, number: int) -> Turn:
        """Train on the batches of this turn; the work is in drawings."""
        first = number * self.updates
        samples = [self.dataset[index] for index in range(first, first + self.updates)]
        with Stopwatch(self.device) as watch:
            for sample in samples:
                self.trainer.train_step([sample])
        return Turn(watch.seconds, sum(len(sample["target"]) for sample in samples))

    @property
    def memory(self) -> KeyValueMemory:
        """The model's."""
        return self.trainer.model.memory


class PlainTraining:
    """The same embedder and loss in a loop of ten lines, without fairseq and without a memory.

    Args:
        dataset: the batches.
        autocast: number format.
        updates: a turn.
        device: ``cpu`` or ``cuda``.
    """

    def __init__(self, dataset: Any, autocast: str, updates: int, device: str) -> None:
        torch.manual_seed(SEED)
        embedder = ConvEmbedder(NETWORKS[NETWORK], SIZE)
        self.model = nn.Sequential(embedder, nn.Linear(embedder.width, KEY_DIM)).to(device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=RATE)
        self.dataset, self.autocast, self.updates = dataset, autocast, updates
        self.device = device

    def __call__(self, number: int) -> Turn:
        """Train on the batches of this turn; the work is in drawings."""
        first = number * self.updates
        samples = [self.dataset[index] for index in range(first, first + self.updates)]
        short = self.autocast == "bfloat16"
        with Stopwatch(self.device) as watch:
            for sample in samples:
                images = sample["net_input"]["images"].to(self.device)
                target = sample["target"].to(self.device)
                with torch.autocast(self.device, torch.bfloat16, enabled=short):
                    query = self.model(images).float()
                loss = neighborhood_loss(query, target, TEMPERATURE).mean()
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
        return Turn(watch.seconds, sum(len(sample["target"]) for sample in samples))
