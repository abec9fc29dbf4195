"""Fixtures for the tests of teaching."""

from tests.postgresql import empty_postgresql, postgresql

__all__ = ["empty_postgresql", "postgresql"]
