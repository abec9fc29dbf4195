"""The benchmark of searches measures all of them, at a size that takes no time."""

from pathlib import Path

import pytest

from fairseq_plugins.benchmarks.programs.search import SEARCHES
from fairseq_plugins.benchmarks.search import Load, Text, costs_table, draw, measure_here

LOAD = Load(dim=8, queries=20, neighbors=4, steps=1)


@pytest.mark.parametrize("name", SEARCHES)
def test_every_search_is_measured_and_good_enough(name: str) -> None:
    cost = measure_here(name, 2000, LOAD, threads=1)
    assert cost.slots == 2000 and cost.query > 0
    assert cost.search.startswith(name)
    assert (cost.commit is None) == (name == "faiss flat")
    assert cost.found.values > 0.8
    if name in ("exact", "faiss flat"):
        assert cost.found.slots > 0.99


def test_words_follow_zipfs_law_and_resemble_themselves() -> None:
    keys, words = Text(Load()).read(20_000)
    counts = words.bincount()
    assert counts[0] > 5 * counts[20] > 25 * counts[2000]
    most = keys[words == 0]
    assert float((most @ most.t()).mean()) > 0.6 > float((keys[:500] @ keys[500:1000].t()).mean())


def test_table_and_picture(tmp_path: Path) -> None:
    costs = [measure_here(name, 100, LOAD, threads=1) for name in ("exact", "faiss flat")]
    header, _, *rows = costs_table(costs)
    assert [row.count("|") for row in rows] == [header.count("|")] * 2
    draw(costs, tmp_path / "search.png")
    assert (tmp_path / "search.png").stat().st_size > 1000
