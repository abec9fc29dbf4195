"""Memories with a short history, and queries and lessons for them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from fairseq_plugins.memory import KeyValueMemory

DIM, VALUES = 4, 5
DATA = Path(__file__).parents[2] / "data"
OLD_SNAPSHOT = DATA / "memory_layout_1.safetensors"


@dataclass(frozen=True)
class Batch:
    query: Tensor  # [N, DIM]
    target: Tensor  # [N]


@st.composite
def batches(draw: st.DrawFn, max_rows: int = 12) -> Batch:
    """Return few different queries, so that rows repeat each other and keys that are known."""
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
    holes = draw(st.lists(st.integers(0, memory.size - 1), max_size=2))
    memory.forget(torch.tensor(holes, dtype=torch.int64))
    return memory


def lived(size: int = 40, key_dim: int = 6, num_values: int = 9, rounds: int = 3) -> KeyValueMemory:
    """Return a memory with a history and settings of its own."""
    memory = KeyValueMemory(size, key_dim, num_values, 5, margin=0.2, age_noise=2.0, seed=7)
    for _ in range(rounds):
        query = torch.randn(size // 2, key_dim)
        memory.write(query, torch.randint(num_values, (size // 2,)))
    return memory


def assert_same(first: KeyValueMemory, second: KeyValueMemory) -> None:
    """Check that two memories hold the same, to the last bit."""
    names = [name for name, _ in first.named_buffers()]
    assert names == [name for name, _ in second.named_buffers()]
    for name in names:
        assert torch.equal(first.get_buffer(name), second.get_buffer(name)), name


def only_file(folder: Path) -> str:
    """Return the one file in a folder: nothing temporary was left behind."""
    (path,) = folder.iterdir()
    return path.name
