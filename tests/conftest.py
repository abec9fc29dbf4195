"""Fixtures for all tests."""

import tests.environment  # noqa: F401  (before anything reads it)

# isort: split

import gc
import logging
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

from tests.programs import ADDRESS, Program, start_server

# Imports and the collection of tests make many objects, which live to the end. The collector of
# cycles would look at all of them again and again.
gc.disable()

ROOT = Path(__file__).resolve().parents[1]
PLUGINS = ROOT / "fairseq_plugins"

# Hypothesis draws the same examples each time, however long they take to draw. With
# `--hypothesis-profile explore` it draws others.
settings.register_profile(
    "project",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile(
    "explore", settings.get_profile("project"), derandomize=False, print_blob=True
)
settings.load_profile("project")

# Hypothesis also draws constants from the modules that are imported by then, and these depend on
# the tests that ran before. Without them, there are none.
with_constants_of_modules = providers._get_local_constants
providers._get_local_constants = lambda: (
    providers._local_constants if settings.default.derandomize else with_constants_of_modules()
)

torch.set_num_threads(1)

subprocess.Popen = Program  # programs are forked from a server that has imported torch


def pytest_configure(config: pytest.Config) -> None:
    """Let the processes of pytest-xdist share one server of programs."""
    if config.getoption("numprocesses", None) and "PYTEST_XDIST_WORKER" not in os.environ:
        os.environ[ADDRESS] = start_server()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the mark ``data`` to all that asks for real corpora."""
    for item in items:
        if "rare_data" in getattr(item, "fixturenames", ()):
            item.add_marker("data")


def pytest_collection_finish() -> None:
    """Let the collector of cycles look at what tests make, and at nothing else."""
    gc.enable()
    gc.collect()
    gc.freeze()


def seed() -> None:
    """Begin all random numbers anew."""
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)


def settings_of_process() -> dict[str, Any]:
    """Return what a test must leave as it was."""
    return {
        "folder": os.getcwd(),
        "threads": torch.get_num_threads(),
        "gradients": torch.is_grad_enabled(),
        "number format": torch.get_default_dtype(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef) -> Iterator[None]:
    """Make what tests share with the same random numbers, whichever of them asks for it first."""
    if fixturedef.scope != "function":
        seed()
    return (yield)


@pytest.fixture(autouse=True)
def alike() -> Iterator[None]:
    """Begin every test with the same random numbers, log and environment, whatever ran before."""
    seed()
    # fairseq begins a log of everything, on a stream that may be closed by now.
    logging.root.setLevel(logging.WARNING)
    for handler in [one for one in logging.root.handlers if type(one) is logging.StreamHandler]:
        logging.root.removeHandler(handler)
    before = settings_of_process()
    with patch.dict(os.environ):  # fairseq's iterators change it
        yield
    assert settings_of_process() == before, "a test has left its process changed"


@pytest.fixture(scope="session")
def rare_data() -> Path:
    """Return the folder of real corpora that RARE_DATA names; without it the test is skipped."""
    path = os.environ.get("RARE_DATA")
    if not path or not Path(path).is_dir():
        pytest.skip("RARE_DATA does not name a folder of corpora")
    return Path(path)
