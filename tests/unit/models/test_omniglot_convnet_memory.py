"""The classifier of drawings returns its queries and its memory."""

import torch

from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.models.omniglot_convnet_memory import OmniglotConvnetMemory
from fairseq_plugins.modules.convnet import NETWORKS, ConvEmbedder
from fairseq_plugins.modules.memory_reading import MemoryReading


def test_it_reads_like_all_models_with_a_memory() -> None:
    memory = KeyValueMemory(8, 6, 3)
    model = OmniglotConvnetMemory(ConvEmbedder(NETWORKS["blocks"], 28, 0.0), memory).eval()
    query, extra = model(torch.rand(5, 28, 28))
    reading = extra["memory"]
    assert isinstance(reading, MemoryReading)
    assert reading.memory is memory and reading.hits is None
    assert reading.query is query and query.shape == (5, 6)
    assert reading.positions.tolist() == 5 * [True]
