"""The one-shot classifier of drawings with a memory: ``--arch omniglot_convnet_memory``."""

from dataclasses import dataclass
from typing import Any

import torch
from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from fairseq.models import BaseFairseqModel, register_model
from omegaconf import II
from torch import Tensor, nn

from fairseq_plugins.errors import InputError
from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.modules.convnet import NETWORKS, ConvEmbedder
from fairseq_plugins.modules.memory_options import MemoryOptions, empty_memory
from fairseq_plugins.modules.memory_reading import MemoryReading
from fairseq_plugins.modules.options import DROPOUT, option


@dataclass
class OmniglotConvnetMemoryConfig(MemoryOptions, FairseqDataclass):
    """Sizes and options of the classifier."""

    network: ChoiceEnum(list(NETWORKS)) = option(  # type: ignore[valid-type]
        "blocks",
        "convolutions: those of the paper, or four blocks with batch normalisation, which learn "
        "faster; wide ones have more channels",
    )
    dropout: float = option(0.0, "dropout on the embedding", DROPOUT)
    memory_neighbors: int = option(
        256, "k, the number of nearest slots that answer a query (256 in the paper)"
    )
    image_size: int = II("task.image_size")


@register_model("omniglot_convnet_memory", dataclass=OmniglotConvnetMemoryConfig)
class OmniglotConvnetMemory(BaseFairseqModel):
    """Embeds drawings as queries to a memory of classes (Kaiser et al. 2017, section 4.1).

    Args:
        embedder: of the drawings.
        memory: to query.
    """

    def __init__(self, embedder: ConvEmbedder, memory: KeyValueMemory) -> None:
        super().__init__()
        self.embedder, self.memory = embedder, memory
        self.project = nn.Linear(embedder.width, memory.key_dim)

    @classmethod
    def build_model(cls, cfg: OmniglotConvnetMemoryConfig, task: Any) -> "OmniglotConvnetMemory":
        """Build a classifier for the task's classes, with an empty memory.

        Raises:
            InputError: if the drawings are too small.
        """
        try:
            embedder = ConvEmbedder(NETWORKS[str(cfg.network)], cfg.image_size, cfg.dropout)
        except ValueError as error:
            raise InputError(f"{error}; prepare larger ones, or use --network paper") from error
        return cls(embedder, empty_memory(cfg, task.classes))

    def forward(self, images: Tensor) -> tuple[Tensor, dict]:
        """Embed drawings [N, size, size], ink 1 and paper 0.

        Returns:
            Queries [N, key_dim], and a reading without hits: comparing queries with each other
            needs no search.
        """
        query = self.project(self.embedder(images)).float()
        everywhere = torch.ones(len(query), dtype=torch.bool, device=query.device)
        return query, {"memory": MemoryReading(self.memory, query, None, everywhere)}

    def max_positions(self) -> None:
        """Return None: there are no positions."""
