"""Hypothesis strategies: memories that have lived a little, and what to ask and teach them."""

from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from fairseq_plugins.memory import KeyValueMemory

DIM, VALUES = 4, 5


@dataclass(frozen=True)
class Batch:
    query: Tensor  # [N, DIM]
    target: Tensor  # [N]


@st.composite
def batches(draw: st.DrawFn, max_rows: int = 12) -> Batch:
    """Few different queries, so that rows repeat each other and keys that are known."""
    rows = draw(st.integers(0, max_rows))
    generator = np.random.default_rng(draw(st.integers(0, 7)))
    distinct = generator.normal(size=(6, DIM)).astype(np.float32)
    chosen = draw(st.lists(st.integers(0, 5), min_size=rows, max_size=rows))
    target = draw(st.lists(st.integers(0, VALUES - 1), min_size=rows, max_size=rows))
    scale = draw(st.sampled_from([1.0, 1e-3, 300.0]))
    query = torch.from_numpy(distinct[chosen].reshape(rows, DIM)) * scale
    return Batch(query, torch.tensor(target, dtype=torch.int64))


@st.composite
def memories(draw: st.DrawFn, noise: float = 0.0) -> KeyValueMemory:
    """Empty, partly filled, full, or with holes; k may be more or less than what is filled."""
    memory = KeyValueMemory(
        size=draw(st.integers(1, 10)),
        key_dim=DIM,
        num_values=VALUES,
        neighbors=draw(st.sampled_from([1, 2, 3, 8, 12])),
        margin=draw(st.sampled_from([0.1, 0.5])),
        age_noise=noise,
        search_dtype=draw(st.sampled_from(["float32", "bfloat16"])),
    )
    for batch in draw(st.lists(batches(), max_size=3)):
        memory.write(batch.query, batch.target)
    for slot in draw(st.lists(st.integers(0, memory.size - 1), max_size=2)):
        memory.values[slot] = -1
    return memory
