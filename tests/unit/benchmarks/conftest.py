"""Fixtures of the tests of benchmarks."""

import multiprocessing

import pytest


@pytest.fixture
def forking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let new processes be forked from this one, in which everything is imported already."""
    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(multiprocessing, "get_context", lambda method=None: fork)
