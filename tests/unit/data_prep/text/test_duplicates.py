"""The set of hashes, compared with Python's own."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data_prep.text.duplicates import Seen

BATCHES = st.lists(st.lists(st.integers(0, 30), max_size=20), max_size=12)


@given(BATCHES)
def test_like_a_set(batches: list[list[int]]) -> None:
    ours, theirs = Seen(), set[int]()
    for batch in batches:
        expected = []
        for number in batch:
            expected.append(number not in theirs)
            theirs.add(number)
        assert ours.add_new(np.array(batch, dtype=np.uint64)).tolist() == expected
    everything = np.arange(31, dtype=np.uint64)
    assert ours.contains(everything).tolist() == [number in theirs for number in range(31)]


def test_there_are_never_many_arrays() -> None:
    seen = Seen()
    for number in range(200):
        seen.add(np.arange(number * 10, number * 10 + 10, dtype=np.uint64))
    assert len(seen.runs) < 10
    assert sum(map(len, seen.runs)) == 2000
