"""All ways of searching a memory translate the same sentences, and are scored alike."""

from pathlib import Path
from typing import Any

import pytest

from fairseq_plugins.benchmarks.generation import Work, measure, table, ways
from fairseq_plugins.errors import InputError


def work(trained: Any, **more: Any) -> Work:
    settings = {"sentences": 6, "batch_size": 2, "turn": 1, "beam": 2, "remove_bpe": None} | more
    return Work(trained.last, Path(trained.data), **settings)


def test_every_way_translates_everything(trained: Any) -> None:
    compared = ways(recall=0.9, sure=0.9)
    results = measure(work(trained), compared)
    assert [one.name for one in results] == list(compared)
    assert [results[0].speed, results[1].same] == [1.0, 1.0]
    assert all(one.rate > 0 and 0 <= one.same <= 1 and 0 <= one.bleu <= 100 for one in results)
    header, _, *rows = table(results)
    assert [row.count("|") for row in rows] == [header.count("|")] * len(compared)


def test_a_single_turn_cannot_be_measured(trained: Any) -> None:
    with pytest.raises(InputError, match="3 batches are a single turn"):
        measure(work(trained, turn=9), ways(0.9, 0.9))
