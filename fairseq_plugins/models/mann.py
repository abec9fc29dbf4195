"""Networks that learn within an episode: ``--arch mann``, ``ntm_oneshot``, ``lstm_oneshot``.

MANN is the memory-augmented network of Santoro et al. 2016. The other two show the value of its
memory's addressing, and of having a memory at all.
"""

from dataclasses import dataclass
from typing import Any

import torch
from fairseq.dataclass import FairseqDataclass
from fairseq.models import BaseFairseqModel, register_model
from omegaconf import II
from torch import Tensor

from fairseq_plugins.errors import InputError
from fairseq_plugins.memory.lrua import ExternalMemory, LRUAMemory, NTMMemory
from fairseq_plugins.modules.controller import Controller
from fairseq_plugins.modules.options import SIZE, option


@dataclass
class LSTMOneShotConfig(FairseqDataclass):
    """Sizes of the LSTM without a memory."""

    units: int = option(200, "number of units of the LSTM (200 in the paper)", SIZE)
    image_size: int = II("task.image_size")


@dataclass
class MANNConfig(LSTMOneShotConfig):
    """Sizes of the LSTM and the memory, as in the paper."""

    slots: int = option(128, "number of rows of the memory", SIZE)
    width: int = option(40, "width of a row of the memory", SIZE)
    heads: int = option(4, "number of heads that read and write the memory", SIZE)


@register_model("lstm_oneshot", dataclass=LSTMOneShotConfig)
class LSTMOneShot(BaseFairseqModel):
    """An LSTM that receives drawings and, one step later, their labels."""

    def __init__(self, controller: Controller, positions: int) -> None:
        super().__init__()
        self.controller, self.positions = controller, positions

    @classmethod
    def build_model(cls, cfg: Any, task: Any) -> "LSTMOneShot":
        """Build a network for the task's labels.

        Raises:
            InputError: if the task's episodes show no labels, or a size is impossible.
        """
        if task.label_shape is None:
            raise InputError(
                f"--arch {cfg._name} learns from sequences of drawings: use --episodes sequences"
            )
        positions, symbols = task.label_shape
        labels = positions * symbols
        try:
            memory = cls.memory(cfg)
        except ValueError as error:
            raise InputError(str(error)) from error
        size = (cfg.heads, cfg.width) if memory else (0, 0)
        inputs = cfg.image_size**2 + labels
        return cls(Controller(inputs, cfg.units, labels, memory, *size), positions)

    @staticmethod
    def memory(cfg: Any) -> ExternalMemory | None:
        """Return None, for no memory."""
        return None

    def forward(self, images: Tensor, previous: Tensor) -> tuple[Tensor, dict]:
        """Compute the logits of the labels.

        Args:
            images: [batch, time, size, size], ink 1 and paper 0.
            previous: [batch, time, positions x symbols], the labels of the previous step.

        Returns:
            [batch, time, positions, symbols], and an empty dict.
        """
        seen = torch.cat([images.flatten(2), previous], dim=2)
        return self.controller(seen).unflatten(2, (self.positions, -1)), {}

    def max_positions(self) -> None:
        """Return None: episodes have no limit."""


@register_model("mann", dataclass=MANNConfig)
class MANN(LSTMOneShot):
    """The memory-augmented neural network of Santoro et al. 2016."""

    @staticmethod
    def memory(cfg: MANNConfig) -> ExternalMemory:
        """Return a memory with least recently used access."""
        return LRUAMemory(cfg.slots, cfg.width, cfg.heads)


@dataclass
class NTMOneShotConfig(MANNConfig):
    """The same sizes as those of the MANN."""


@register_model("ntm_oneshot", dataclass=NTMOneShotConfig)
class NTMOneShot(LSTMOneShot):
    """The same network with the memory of a Neural Turing Machine."""

    @staticmethod
    def memory(cfg: NTMOneShotConfig) -> ExternalMemory:
        """Return a memory addressed by content and location."""
        return NTMMemory(cfg.slots, cfg.width, cfg.heads)
