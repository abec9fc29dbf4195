"""Terms, compared with a plain list, and counts of words, compared with a Counter."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fairseq_plugins.memory.terms import RARITY, RELATED, Term, TermMemory, WordCounts, terms_fault

LESSONS = st.lists(
    st.tuples(
        st.integers(0, 3),  # origin
        st.lists(
            st.builds(
                Term,
                st.integers(1, 4),
                st.lists(st.integers(0, 9), max_size=3).map(tuple),
                st.just(1),
            ),
            max_size=4,
        ),
    ),
    max_size=8,
)


def taught(lessons: list[tuple[int, list[Term]]]) -> TermMemory:
    memory = TermMemory()
    memory.called_by(0)  # from here on it keeps an index, and otherwise makes one when it is asked
    for origin, terms in lessons:
        memory.teach(terms, origin)
    return memory


def test_the_newest_lesson_says_how_common_a_word_is_and_is_named() -> None:
    one, other = Term(1, (2,), 4), Term(1, (2,), 0)
    (found,) = taught([(7, [one]), (5, [other])]).called_by(1)
    assert (found.trust, found.origin) == (1.0, 5)
    (found,) = taught([(7, [one]), (5, [other]), (7, [other])]).called_by(1)
    assert found.origin == 7


def same(one: TermMemory, other: TermMemory) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def plain_answer(lessons: list[tuple[int, list[Term]]], cue: int) -> list[tuple]:
    """Compute the contract in another way: distinct pieces by their last lesson, and shares."""
    rows = [(o, term) for o, terms in lessons for term in terms if term.cue == cue]
    lessons_with_cue = {origin for origin, _ in rows}
    answer = []
    for place, (_, term) in reversed(list(enumerate(rows))):
        if term.pieces and all(later.pieces != term.pieces for _, later in rows[place + 1 :]):
            having = {origin for origin, other in rows if other.pieces == term.pieces}
            answer.append(
                (term.pieces, len(having) / len(lessons_with_cue) * RARITY / (RARITY + 1))
            )
    return answer


@given(LESSONS, st.integers(0, 5))
def test_called_terms_are_the_newest_first_with_the_share_of_lessons_that_have_them(
    lessons: list[tuple[int, list[Term]]], cue: int
) -> None:
    found = [(term.pieces, term.trust) for term in taught(lessons).called_by(cue)]
    assert [pieces for pieces, _ in found] == [pieces for pieces, _ in plain_answer(lessons, cue)]
    for (_, trust), (_, expected) in zip(found, plain_answer(lessons, cue), strict=True):
        assert trust == pytest.approx(expected)


@given(LESSONS, st.sets(st.integers(0, 5)))
def test_related_lessons_share_most_of_their_cues(
    lessons: list[tuple[int, list[Term]]], source: set[int]
) -> None:
    cues: dict[int, set[int]] = {}
    for origin, terms in lessons:
        cues.setdefault(origin, set()).update(term.cue for term in terms)
    expected = [
        origin for origin, own in sorted(cues.items())
        if own and len(own & source) >= RELATED * len(own) and own & source
    ]  # fmt: skip
    assert taught(lessons).related_to(source) == expected


def test_words_that_training_knows_are_trusted_less() -> None:
    memory = taught([(0, [Term(1, (5,), 0)]), (1, [Term(2, (5,), 2)]), (2, [Term(3, (5,), 99)])])
    assert [term.trust for term in memory.called_by(1)] == [1.0]
    assert [term.trust for term in memory.called_by(2)] == [0.5]
    assert memory.called_by(3) == []


@given(LESSONS, st.integers(0, 3))
def test_forgetting_is_never_having_been_taught(
    lessons: list[tuple[int, list[Term]]], origin: int
) -> None:
    memory = taught(lessons)
    memory.called_by(1)  # what was looked up before must not live on
    memory.forget(origin)
    rest = taught([lesson for lesson in lessons if lesson[0] != origin])
    assert same(memory, rest) or (len(memory) == 0 and len(rest) == 0)
    assert all(memory.called_by(cue) == rest.called_by(cue) for cue in range(6))


@given(LESSONS)
def test_state_dict_of_any_size_loads_and_clear_empties(
    lessons: list[tuple[int, list[Term]]],
) -> None:
    memory = TermMemory()
    memory.load_state_dict(taught(lessons).state_dict())
    assert same(memory, taught(lessons))
    assert memory.called_by(1) == taught(lessons).called_by(1)
    memory.clear()
    assert same(memory, TermMemory())


@given(LESSONS, st.sets(st.integers(0, 3)))
def test_many_lessons_at_once_are_the_same_as_one_by_one(
    lessons: list[tuple[int, list[Term]]], origins: set[int]
) -> None:
    memory, one_by_one = TermMemory(), taught(lessons)
    memory.teach_all((terms, origin) for origin, terms in lessons)
    assert same(memory, one_by_one)
    memory.called_by(0)
    memory.forget(*origins)
    for origin in origins:
        one_by_one.forget(origin)
    assert same(memory, one_by_one)
    assert all(memory.called_by(cue) == one_by_one.called_by(cue) for cue in range(6))


def test_checkpoints_from_before_terms_load() -> None:
    memory, counts = taught([(0, [Term(1, (2,), 0)])]), WordCounts()
    memory.load_state_dict({}), counts.load_state_dict({})
    assert len(memory) == 0 and counts.total() == 0


@given(st.lists(st.integers(-(2**63), 2**63 - 1).filter(bool), max_size=30))
def test_counts_are_those_of_a_counter(numbers: list[int]) -> None:
    counts = WordCounts()
    half = len(numbers) // 2
    for part in (numbers[:half], numbers[half:]):
        counts.add(torch.tensor(part, dtype=torch.int64))
    expected = Counter(numbers)
    found = counts.of(torch.tensor(list(expected), dtype=torch.int64)).tolist()
    assert all(a >= b for a, b in zip(found, expected.values(), strict=True))
    assert counts.total() == len(numbers)


def test_counts_stop_at_the_largest_number() -> None:
    counts = WordCounts()
    counts.add(torch.full((40_000,), 7))
    counts.add(torch.full((40_000,), 7))
    assert counts.of(torch.tensor([7])).item() == 32_767


def test_terms_of_a_checkpoint_are_checked() -> None:
    memory = TermMemory()
    memory.teach([Term(5, (1, 2), 0), Term(6, (), 3)], origin=7)
    state = {f"terms.memory.{name}": buffer for name, buffer in memory.named_buffers()}
    assert terms_fault(state, 3) is None and terms_fault({}, 3) is None
    assert terms_fault(state, 2) == "a term has the piece 2, which is outside [0, 2)"
    state["terms.memory.origins"] = torch.tensor([7])
    assert terms_fault(state, 3) == "origins of its 2 terms are [1] torch.int64"
    del state["terms.memory.origins"]
    assert terms_fault(state, 3) == "origins of its terms are missing"
