"""Fixtures for unit tests."""

from tests.tiny_training import tiny_data, tiny_text, trained
from tests.tiny_translator import folder, original

__all__ = ["folder", "original", "tiny_data", "tiny_text", "trained"]
