"""Fixtures for unit tests."""

from tests.tiny_training import tiny_data, tiny_text, trained

__all__ = ["tiny_data", "tiny_text", "trained"]
