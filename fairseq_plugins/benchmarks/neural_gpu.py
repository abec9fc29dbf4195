"""Neural GPUs, as timed by their benchmark."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_plugins.benchmarks.duel import Stopwatch, Turn
from fairseq_plugins.benchmarks.training import SEED, Trained
from fairseq_plugins.modules.cgru import PADDING, CGRUStack, convolution_backward
from fairseq_plugins.modules.neural_gpu import channels_last

SYMBOLS, LENGTH, KEY_DIM = 2000, 10, 64
FORMATS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Image:
    """A random state, and the units that process it.

    Args:
        batch: number of sequences.
        columns: n.
        height: h.
        maps: m.
        layers: number of units in a step.
        number_format: of the products.
        device: ``cpu`` or ``cuda``.
    """

    def __init__(
        self, batch: int, columns: int, height: int, maps: int, layers: int, number_format: str,
        device: str,
    ) -> None:  # fmt: skip
        torch.manual_seed(SEED)
        self.stack = CGRUStack(maps, layers).to(device)
        self.state = channels_last(torch.randn(batch, maps, columns, height, device=device))
        self.number_format, self.device, self.columns = FORMATS[number_format], device, columns


class Computing:
    """A contender that applies the stack n times, forward and backward."""

    def __init__(self, image: Image) -> None:
        self.image = image

    def __call__(self, number: int) -> Turn:
        """Run one forward and backward pass; the unit of work is steps."""
        image = self.image
        short = image.number_format != torch.float32
        state = image.state.clone().requires_grad_()
        with Stopwatch(image.device) as watch:
            with torch.autocast(image.device, image.number_format, enabled=short):
                following: Tensor = state
                for _ in range(image.columns):
                    following = image.stack(following)
            following.float().sum().backward()
        image.stack.zero_grad()
        return Turn(watch.seconds, image.columns)


class Convolutions:
    """A contender that runs only the convolutions of the same steps, forward and backward."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.state = channels_last(image.state.to(image.number_format))
        self.twice = channels_last(torch.cat([self.state, self.state], dim=1))
        self.weights = [
            channels_last(weight.detach().to(image.number_format))
            for name, weight in image.stack.named_parameters()
            if name.endswith("weight")
        ]

    def __call__(self, number: int) -> Turn:
        """Run the same number of convolutions; the unit of work is steps."""
        with Stopwatch(self.image.device) as watch:
            for _ in range(self.image.columns):
                for weight in self.weights:
                    self._there_and_back(weight)
        return Turn(watch.seconds, self.image.columns)

    def _there_and_back(self, weight: Tensor) -> None:
        F.conv2d(self.state, weight, padding=PADDING)
        gradient = self.state if len(weight) == self.state.shape[1] else self.twice
        convolution_backward(gradient, self.state, weight)


class RareSymbolsTraining(Trained):
    """A contender that trains with fairseq's Trainer on rare symbols, in units of sequences.

    Args:
        folder: for output of the trainer.
        memory: number of slots; 0 for the same network without a memory.
        batch: number of sequences.
        maps: m.
        autocast: number format.
        updates: per turn.
        device: ``cpu`` or ``cuda``.
        warm_up: updates before the first turn.
    """

    def __init__(
        self, folder: Path, memory: int, batch: int, maps: int, autocast: str, updates: int,
        device: str, warm_up: int = 0,
    ) -> None:  # fmt: skip
        arch = "extended_neural_gpu_memory" if memory else "extended_neural_gpu"
        slots = ["--memory-size", memory, "--memory-key-dim", KEY_DIM] if memory else []
        arguments = [
            "--task", "algorithmic", "--algorithm", "rare_symbols", "--symbols", SYMBOLS,
            "--max-length", LENGTH, "--autocast", autocast, "--arch", arch, "--maps", maps,
            "--share-all-embeddings", *slots, "--criterion", "memory_cross_entropy",
            "--batch-size", batch, "--optimizer", "adam", "--lr", 0.001, "--clip-norm", 1,
        ]  # fmt: skip
        super().__init__(folder, arguments, device, updates)
        number = 0
        # A full memory, as for most of a training, of keys as they come.
        while number * updates < warm_up or (
            self.memory is not None and len(self.memory) < self.memory.size
        ):
            self(number)
            number += 1

    def sample(self, number: int) -> dict:
        """Return the batch of an update."""
        size = self.dataset.batch_size
        return self.dataset.collater([self.dataset[number * size + row] for row in range(size)])
