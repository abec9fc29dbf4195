"""Servers of a translator that was taught nothing."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.served import Client, serving


@pytest.fixture(scope="module")
def shared_folder(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a translator that the tests of a file share."""
    return shutil.copytree(original, tmp_path_factory.mktemp("shared") / "translator")


@pytest.fixture(scope="module")
def shared(shared_folder: Path) -> Iterator[Client]:
    """Talks to its server, which needs no token: for what changes nothing."""
    with serving(shared_folder) as client:
        yield client


@pytest.fixture
def unchanged(shared: Client) -> Iterator[Client]:
    """Yield the same; that nothing has changed is checked."""
    before = shared.get("/history")
    yield shared
    assert shared.get("/history") == before


@pytest.fixture
def client(folder: Path) -> Iterator[Client]:
    """Talks to a server that needs no token."""
    with serving(folder) as client:
        yield client
