"""Networks that learn within an episode: ``--arch mann``, ``ntm_oneshot``, ``lstm_oneshot``.

MANN is the memory-augmented network of Santoro et al. 2016; the other two show what its memory's
way of writing, and what a memory at all, is worth.
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
    """Sizes of the LSTM without memory."""

    units: int = option(200, "of the LSTM (200 in the paper)", SIZE)
    image_size: int = II("task.image_size")


@dataclass
class MANNConfig(LSTMOneShotConfig):
    """Sizes of LSTM and memory, as in the paper."""

    slots: int = option(128, "rows of the memory", SIZE)
    width: int = option(40, "of a row", SIZE)
    heads: int = option(4, "that read the memory", SIZE)


@register_model("lstm_oneshot", dataclass=LSTMOneShotConfig)
class LSTMOneShot(BaseFairseqModel):
    """An LSTM that sees drawings and, a step later, their labels."""

    def __init__(self, controller: Controller, positions: int) -> None:
        super().__init__()
        self.controller, self.positions = controller, positions

    @classmethod
    def build_model(cls, cfg: Any, task: Any) -> "LSTMOneShot":
        """Make a network for the task's labels.

        Raises:
            InputError: if the task's episodes show no labels, or a size is impossible.
        """
        if task.label_shape is None:
            raise InputError(
                f"--arch {cfg._name} learns from sequences of drawings: give --episodes sequences"
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
        """None."""
        return None

    def forward(self, images: Tensor, previous: Tensor) -> tuple[Tensor, dict]:
        """Logits of the labels.

        Args:
            images: [batch, time, size, size], ink 1 and paper 0.
            previous: [batch, time, positions x symbols], the labels of the step before.

        Returns:
            [batch, time, positions, symbols], and nothing more.
        """
        seen = torch.cat([images.flatten(2), previous], dim=2)
        return self.controller(seen).unflatten(2, (self.positions, -1)), {}

    def max_positions(self) -> None:
        """Episodes are as long as they are."""


@register_model("mann", dataclass=MANNConfig)
class MANN(LSTMOneShot):
    """The memory-augmented neural network of Santoro et al. 2016."""

    @staticmethod
    def memory(cfg: MANNConfig) -> ExternalMemory:
        """With least recently used access."""
        return LRUAMemory(cfg.slots, cfg.width, cfg.heads)


@dataclass
class NTMOneShotConfig(MANNConfig):
    """The same sizes."""


@register_model("ntm_oneshot", dataclass=NTMOneShotConfig)
class NTMOneShot(LSTMOneShot):
    """The same with the memory of a Neural Turing Machine."""

    @staticmethod
    def memory(cfg: NTMOneShotConfig) -> ExternalMemory:
        """Addressed by content and location."""
        return NTMMemory(cfg.slots, cfg.width, cfg.heads)
