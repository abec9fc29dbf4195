"""Convolutional networks that embed small drawings."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class ConvNet:
    """The architecture of a network.

    Attributes:
        blocks: channels of the 3x3 convolutions of each block. A block ends by halving the image.
        batch_norm: whether to normalise over the batch once in each block.
        hidden: units of a final fully connected layer; 0 for none.
    """

    blocks: Sequence[Sequence[int]]
    batch_norm: bool
    hidden: int


NETWORKS = {
    # Kaiser et al. 2017, section 4.1
    "paper": ConvNet(blocks=((64, 64), (128, 128)), batch_norm=False, hidden=256),
    # Vinyals et al. 2016, section 4.1.1, as in most later work on few shots
    "blocks": ConvNet(blocks=((64,), (64,), (64,), (64,)), batch_norm=True, hidden=0),
    # The same, but wider where the image is small and width is cheap
    "wide": ConvNet(blocks=((64,), (64,), (128,), (256,)), batch_norm=True, hidden=0),
}
KERNEL = 3


class ConvEmbedder(nn.Module):
    """Embeds drawings [N, size, size] as vectors [N, ``width``].

    Args:
        network: the architecture.
        size: width and height of a drawing, in pixels.
        dropout: of the embedding.

    Raises:
        ValueError: if the drawings are too small to be halved that many times.
    """

    layout = torch.channels_last  # of the maps, as measured in docs/benchmarks.md

    def __init__(self, network: ConvNet, size: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        layers: list[nn.Module] = []
        channels = 1
        for block in network.blocks:
            for width in block:
                layers += [nn.Conv2d(channels, width, KERNEL, padding=KERNEL // 2), nn.ReLU()]
                channels = width
            # Halve the image before normalising: a quarter of the work for what follows.
            layers.insert(-1, nn.MaxPool2d(2))
            if network.batch_norm:
                layers.insert(-1, nn.BatchNorm2d(channels))
            size //= 2
        if not size:
            raise ValueError(f"drawings are too small to be halved {len(network.blocks)} times")
        self.layers = nn.Sequential(*layers)
        self.layers.to(memory_format=self.layout)  # type: ignore[call-overload]
        self.width = channels * size**2
        self.hidden = nn.Linear(self.width, network.hidden) if network.hidden else None
        if self.hidden:
            self.width = network.hidden

    def forward(self, images: Tensor) -> Tensor:
        """Embed drawings [N, size, size], ink 1 and paper 0 -> [N, width]."""
        maps = images.unsqueeze(1).contiguous(memory_format=self.layout)
        features = self.layers(maps).flatten(1)  # [N, channels x rest of the size, squared]
        if self.hidden:
            features = F.relu(self.hidden(features))
        return F.dropout(features, self.dropout, self.training)
