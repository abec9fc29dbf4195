"""The life-long key-value memory that all models share. Pure torch, independent of fairseq."""

from fairseq_plugins.memory.config import MemoryConfig
from fairseq_plugins.memory.hits import CommitReport, MemoryHits
from fairseq_plugins.memory.key_value_memory import KeyValueMemory, memories_in

__all__ = ["CommitReport", "KeyValueMemory", "MemoryConfig", "MemoryHits", "memories_in"]
