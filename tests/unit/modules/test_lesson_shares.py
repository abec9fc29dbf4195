"""How far whole lessons are trusted, and how they are mixed with everything else."""

import pytest
import torch
from torch import nn

from fairseq_plugins.memory import KeyValueMemory, MemoryHits
from fairseq_plugins.modules.lesson_shares import (
    CLOSER,
    LESSON,
    LIKE,
    RELATED_CLOSER,
    LessonShares,
    lesson_shares,
)
from fairseq_plugins.modules.memory_reader import MemoryReader
from fairseq_plugins.modules.memory_reading import MemoryReading, mix_memory
from fairseq_plugins.modules.term_reader import CalledTerms, TermReading


def taught_reader() -> tuple[MemoryReader, torch.Tensor]:
    """Return a reader whose memory has values 1 and 2 and the lesson 3, and a query near 3."""
    memory = KeyValueMemory(8, 2, num_values=5, neighbors=4)
    module = MemoryReader(memory, 2, 3, "interpolate", nn.Embedding(5, 3)).eval()
    memory.write(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([1, 2]))
    memory.teach(torch.tensor([[1.0, 1.0]]), torch.tensor([3]), origin=0)
    return module, torch.tensor([[1.0, 1.0]])


def test_a_lesson_is_followed_where_it_was_taught() -> None:
    module, query = taught_reader()
    hits = module.memory.query(query)
    _, _, lessons = module.weigh(hits, torch.zeros(1, 3))
    assert lessons is not None
    share = lessons.share.squeeze() * lessons.weights[hits.values == 3].sum()
    assert share.item() == pytest.approx(LESSON, abs=1e-4)


def test_far_from_its_place_a_lesson_changes_nothing() -> None:
    module, _ = taught_reader()
    query, state = torch.tensor([[1.0, 0.3]]), torch.randn(1, 3)
    hits = module.memory.query_apart(query)
    log_weights, gate, lessons = module.weigh(hits, state)
    assert lessons is not None and not bool(lessons.share.any())
    log_probs = torch.log_softmax(torch.randn(1, 6), dim=1)
    assert torch.equal(lessons.mix(log_probs.clone(), hits.values), log_probs)
    excluded, target = torch.tensor([-torch.inf]), torch.tensor([1])
    assert torch.equal(lessons.mix_target(excluded, target, hits.values), excluded)
    module.memory.forget(torch.nonzero(module.memory.pinned).squeeze(1))
    untaught = module.memory.query_apart(query)
    expected, plain_gate, none = module.weigh(untaught, state)
    assert none is None
    assert torch.equal(gate, plain_gate)
    for value, weight in zip(untaught.values[0], expected[0].exp(), strict=True):
        if value >= 0:
            assert log_weights.exp()[hits.values == value].sum().item() == weight.item()


@pytest.mark.parametrize("grad", [True, False])
def test_a_lesson_and_the_rest_make_one_distribution(grad: bool) -> None:
    """p = (1 - h) p' + h v, for the whole vocabulary and for single targets."""
    module, query = taught_reader()
    queries = torch.cat([query, query + torch.tensor([[0.3, 0.0]]), torch.tensor([[1.0, 0.0]])])
    hits = module.memory.query(queries)
    log_weights, gate, lessons = module.weigh(hits, torch.randn(3, 3))
    assert lessons is not None
    assert log_weights.exp().sum(1).tolist() == pytest.approx([1.0] * 3, abs=1e-4)
    assert bool(torch.isfinite(gate).all())
    positions = torch.ones(1, 3, dtype=torch.bool)
    reading = MemoryReading(
        module.memory, queries, hits, positions, log_weights, gate, None, lessons
    )
    rest = torch.log_softmax(torch.randn(3, 6), dim=1)
    written = rest.exp() * (1 - lessons.share)
    for row in range(3):
        for value, weight in zip(hits.values[row], lessons.weights[row], strict=True):
            written[row, value] += lessons.share[row, 0] * weight
    with torch.set_grad_enabled(grad):
        mixed = reading.mix_lessons(rest.clone())
    torch.testing.assert_close(mixed.exp(), written)
    plain = torch.log_softmax(torch.randn(3, 6), dim=1)
    with torch.set_grad_enabled(grad):
        both = reading.mix_lessons(reading.mix(plain.clone()))
    for target in range(6):
        chosen = torch.full((3,), target)
        single = reading.mix_target(plain[:, target], chosen)
        torch.testing.assert_close(single, both[:, target], atol=1e-5, rtol=1e-4)


def test_terms_prevail_over_slots_and_lessons_over_terms() -> None:
    """[1, 3] positions: slots alone, slots and a term, all three; each is almost certain."""
    module, query = taught_reader()
    hits = module.memory.query_apart(query.repeat(3, 1))
    slots = torch.full_like(hits.similarities, -torch.inf)
    slots[hits.values == 1] = 0.0
    share = torch.tensor([[0.0], [0.0], [LESSON]])
    weights = (hits.values == 3).float()
    reading = MemoryReading(
        module.memory, query, hits, torch.ones(1, 3, dtype=torch.bool), slots,
        torch.full((3,), 5.0), None, LessonShares(share, weights),
    )  # fmt: skip
    due = torch.tensor([[0.0, 0.9, 0.9]])
    piece, none = torch.full((1, 3), 2), torch.zeros(1, 3, dtype=torch.bool)
    nothing = torch.zeros(6, dtype=torch.bool)
    terms = TermReading(due, none, piece, none, piece, nothing, nothing)
    log_probs = torch.log_softmax(torch.randn(1, 3, 6), dim=-1)
    found = mix_memory(log_probs, {"memory": reading, "terms": terms}).exp()[0]
    torch.testing.assert_close(found.sum(1), torch.ones(3))
    assert found.argmax(1).tolist() == [1, 2, 3]
    assert found[1, 2] >= 0.9 and found[2, 3] >= LESSON


NEAR = LESSON * (1 - 0.25 / RELATED_CLOSER)


def answers(similarities: list[float], values: list[int]) -> MemoryHits:
    """Return answers to one query, from slots 0, 1, 2."""
    slots = torch.arange(len(values)).unsqueeze(0)
    return MemoryHits(
        torch.tensor([values]), torch.tensor([similarities]), slots, torch.zeros(1, len(values))
    )


@pytest.mark.parametrize(
    ("similarities", "values", "related", "share", "best"),
    [
        # A third of the way to RELATED_LIKE, and no other value near.
        ([0.9, 0.1, 0.1], [3, 4, 4], [True, False, False], LESSON * 2 / 3, 0),
        # A quarter of the way to another value.
        ([0.975, 0.9, 0.1], [3, 4, 4], [True, False, False], NEAR, 0),
        ([0.975, 0.9, 0.1], [3, 4, 4], [True, True, False], NEAR, 0),
        ([0.95, 0.9, 0.1], [3, 4, 4], [False, True, False], 0.0, 1),  # another value is nearer
        ([0.95, 0.9, 0.1], [4, 4, 3], [False, True, False], LESSON * 2 / 3, 1),
        ([0.95, 0.9, 0.1], [3, 4, 4], [False, False, False], 0.0, 0),
        ([0.6, 0.5, 0.1], [3, 4, 4], [True, True, True], 0.0, 0),  # too far
    ],
)
def test_related_lessons_are_trusted_from_farther_away(
    similarities: list[float], values: list[int], related: list[bool], share: float, best: int
) -> None:
    """All three slots are of lessons."""
    hits, marked = answers(similarities, values), torch.tensor([related])
    shares = lesson_shares(hits, torch.ones_like(marked), marked)
    assert shares.share.item() == pytest.approx(share, abs=1e-3)
    assert shares.weights.sum().item() == pytest.approx(1.0)
    assert shares.weights.argmax().item() == best


@pytest.mark.parametrize("named", [[[0]], [[7, -1]], [[-1, 3, 0]], [[-1]], None])
def test_lessons_are_related_by_their_number(named: list | None) -> None:
    """The lesson of the only taught slot has number 0; the query is not exactly its own."""
    module, query = taught_reader()
    hits = module.memory.query_apart(query + torch.tensor([[0.4, 0.0]]))
    lessons = None if named is None else torch.tensor(named)
    _, _, shares = module.weigh(hits, torch.zeros(1, 3), lessons)
    assert shares is not None
    assert bool(shares.share.item() > 0.1) == (named is not None and 0 in named[0])


def test_a_lesson_of_unknown_origin_is_related_to_nothing() -> None:
    module, query = taught_reader()
    module.memory.origins[module.memory.pinned] = -1
    hits = module.memory.query_apart(query + torch.tensor([[0.4, 0.0]]))
    _, _, shares = module.weigh(hits, torch.zeros(1, 3), torch.tensor([[7, -1]]))
    assert shares is not None and shares.share.item() < 0.1


@pytest.mark.parametrize(
    ("similarities", "values", "taught", "share"),
    [
        # A quarter of the way to LIKE, and no other value near.
        ([1 - (1 - LIKE) / 4, 0.5, 0.1], [3, 4, 4], [True, False, False], LESSON * 3 / 4),
        ([1.0, 0.9, 0.8], [3, 4, 3], [False, True, True], 0.0),  # too far
        ([1.0, 1.0, 1.0], [3, 4, 5], [False, False, False], 0.0),
        # Another value at a distance of 0.01, whoever says it: a share of that is allowed.
        ([1 - 0.005 * CLOSER, 0.99, 0.1], [3, 4, 4], [True, True, False], LESSON / 2),
        ([1 - 0.005 * CLOSER, 0.99, 0.1], [3, 4, 4], [True, False, False], LESSON / 2),
        ([1 - (1 - LIKE) / 10, 0.99, 0.1], [3, 3, 4], [True, True, False], LESSON * 0.9),
        ([1 - 0.0005, 0.999, 0.1], [3, 4, 4], [True, True, False], 0.0),
    ],
)
def test_share_of_a_lesson_follows_its_formula(
    similarities: list[float], values: list[int], taught: list[bool], share: float
) -> None:
    marked = torch.tensor([taught])
    shares = lesson_shares(answers(similarities, values), marked, torch.zeros_like(marked))
    found, weights = shares.share, shares.weights
    assert found.item() == pytest.approx(share, abs=2e-3)
    assert weights.sum().item() == pytest.approx(1.0 if any(taught) else 0.0, abs=1e-4)
    assert not weights[~torch.tensor([taught])].any()
    if any(taught):
        assert weights.argmax().item() == taught.index(True)


def test_a_lesson_that_is_near_is_never_skipped() -> None:
    module, query = taught_reader()
    far = torch.tensor([[1.0, 0.0]])
    sure = torch.log_softmax(20.0 * torch.eye(5)[torch.tensor([[4, 4]])], dim=2)  # [1, 2, 5]
    positions = torch.ones(1, 2, dtype=torch.bool)
    module.project.weight.data.copy_(torch.eye(2))
    module.project.bias.data.zero_()
    with torch.no_grad():
        reading = module(torch.stack([query, far], 1), torch.zeros(1, 2, 3), positions, True, 0.9)[
            1
        ]
        found = mix_memory(sure.clone(), {"memory": reading})
    assert found[0, 0, 3].exp() == pytest.approx(LESSON, abs=1e-3)
    assert torch.equal(found[0, 1], sure[0, 1])


@pytest.mark.parametrize(("related", "followed"), [([[0]], True), ([[7]], False)])
def test_a_related_lesson_is_not_skipped_from_farther_away(
    related: list[list[int]], followed: bool
) -> None:
    module, query = taught_reader()
    sure = torch.log_softmax(20.0 * torch.eye(5)[torch.tensor([[4]])], dim=2)
    nothing = torch.empty(1, 0)
    called = CalledTerms(*[nothing] * 5, torch.tensor(related), torch.zeros(5, dtype=torch.bool))
    module.project.weight.data.copy_(torch.eye(2))
    module.project.bias.data.zero_()
    positions, near = torch.ones(1, 1, dtype=torch.bool), query + torch.tensor([[0.4, 0.0]])
    with torch.no_grad():
        _, reading = module(near[None], torch.zeros(1, 1, 3), positions, True, 0.9, called)
        found = mix_memory(sure.clone(), {"memory": reading})
    assert bool(found[0, 0, 3].exp() > 0.5) == followed
