"""The rival whose memory is not queried has no memory to query."""

from pathlib import Path

import pytest

from fairseq_plugins.benchmarks.omniglot import OneShotTraining, make_drawings


@pytest.mark.parametrize("asks", [False, True])
def test_only_a_memory_that_is_asked_is_written_to(tmp_path: Path, asks: bool) -> None:
    make_drawings(tmp_path, 16)
    training = OneShotTraining(tmp_path, 4, 64, "none", 1, asks, "cpu")
    training(0)
    assert training.memory is not None
    assert (len(training.memory) > 0) == asks
