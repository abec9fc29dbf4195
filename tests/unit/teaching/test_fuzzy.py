"""Similar sources are found by few of their words, and none is missed."""

from difflib import SequenceMatcher

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq_plugins.teaching.fuzzy import NearSources

SENTENCES = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=7).map(" ".join)


@given(st.lists(SENTENCES, max_size=12), SENTENCES, st.sampled_from([0.1, 0.5, 0.6, 0.75, 1.0]))
@settings(max_examples=50)
def test_every_similar_source_is_found(sources: list[str], asked: str, least: float) -> None:
    near = NearSources()
    for source in [*sources, "g"]:
        near.add(source)
    near.remove("g")
    ratios = {
        source: SequenceMatcher(None, asked.split(), source.split(), autojunk=False).ratio()
        for source in sources
    }
    expected = {source: ratio for source, ratio in ratios.items() if ratio >= least}
    found = near.find(asked, least)
    assert dict(found) == pytest.approx(expected)
    assert [ratio for _, ratio in found] == sorted(expected.values(), reverse=True)
