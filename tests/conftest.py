"""Fixtures for all tests."""

import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
PLUGINS = ROOT / "fairseq_plugins"

settings.register_profile("project", deadline=None, print_blob=True)
settings.load_profile("project")

# One thread: faster for small tensors, and the same sums on every machine. Programs inherit it.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random numbers in every test, whatever ran before."""
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)


@pytest.fixture(scope="session")
def rare_data() -> Path:
    """The folder of real corpora that RARE_DATA names; without it the test is skipped."""
    path = os.environ.get("RARE_DATA")
    if not path or not Path(path).is_dir():
        pytest.skip("RARE_DATA does not name a folder of corpora")
    return Path(path)
