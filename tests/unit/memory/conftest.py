"""Fixtures for tests of the memory."""

from pathlib import Path

import pytest

from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory.snapshot import save_memory
from tests.unit.memory.states import lived


@pytest.fixture
def saved(tmp_path: Path) -> tuple[KeyValueMemory, Path]:
    """Return a memory, and its snapshot."""
    memory, path = lived(), tmp_path / "memory.safetensors"
    save_memory(memory, path, fingerprint="f" * 64, extra={"corpus": "toy", "tokens": 3})
    return memory, path
