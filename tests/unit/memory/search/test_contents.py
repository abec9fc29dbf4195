"""Slots without keys: found by looking at all slots, or updated from change to change."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from fairseq_plugins.memory.search.contents import find_holes, follow_holes


def test_holes_are_the_empty_slots_below_the_highest_filled_one() -> None:
    extent, holes = find_holes(torch.tensor([-1, 3, -1, 0, -1, -1]))
    assert (extent, holes.tolist()) == (4, [0, 2])


def test_an_empty_memory_has_no_holes() -> None:
    extent, holes = find_holes(torch.full((3,), -1))
    assert (extent, holes.tolist()) == (0, [])


SLOTS = st.integers(0, 11)
CHANGES = st.lists(st.tuples(st.lists(SLOTS, min_size=1), st.booleans()), max_size=12)


@given(CHANGES)
def test_following_changes_ends_where_a_look_at_everything_does(
    changes: list[tuple[list[int], bool]],
) -> None:
    values = torch.full((12,), -1)
    extent, holes = find_holes(values)
    for slots, fill in changes:
        changed = torch.tensor(slots)
        values[changed] = 5 if fill else -1
        extent, holes = follow_holes(values, changed, extent, holes)
        expected = find_holes(values)
        assert (extent, holes.tolist()) == (expected[0], expected[1].tolist())
