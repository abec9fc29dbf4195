"""Fixtures for integration tests."""

from tests.integration.learned import learned
from tests.tiny_training import tiny_data, tiny_text, trained

__all__ = ["learned", "tiny_data", "tiny_text", "trained"]
