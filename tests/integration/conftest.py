"""Fixtures for integration tests."""

import fairseq_plugins  # noqa: F401  (torch then loads what fairseq writes)
from tests.integration.learned import learned
from tests.omniglot_archives import drawings
from tests.postgresql import empty_postgresql, postgresql
from tests.tiny_training import tiny_data, tiny_text, trained
from tests.tiny_translator import folder, original

__all__ = [
    "drawings", "empty_postgresql", "folder", "learned", "original", "postgresql", "tiny_data",
    "tiny_text", "trained",
]  # fmt: skip
