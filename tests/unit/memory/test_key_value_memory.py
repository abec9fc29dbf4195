"""Answers, loss and writes of the memory, compared with an oracle in NumPy."""

from random import Random
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq_plugins.memory import KeyValueMemory
from tests.unit.memory.oracle import Oracle
from tests.unit.memory.states import DIM, VALUES, Batch, batches, memories

E1, E2, E3 = torch.eye(3)


def small(size: int = 4, **settings: float) -> KeyValueMemory:
    defaults = {"key_dim": 3, "num_values": 10, "neighbors": 2, "age_noise": 0.0}
    return KeyValueMemory(size, **(defaults | settings))  # type: ignore[arg-type]


def rows(*vectors: torch.Tensor) -> torch.Tensor:
    return torch.stack(vectors)


def values(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers)


# --- Against the oracle ---------------------------------------------------------------------


@given(memories(), batches())
def test_answers_are_those_of_the_oracle(memory: KeyValueMemory, batch: Batch) -> None:
    Oracle.of(memory).assert_answers(batch.query.double().numpy(), memory.query(batch.query))


@given(memories(), batches())
def test_losses_are_those_of_the_oracle(memory: KeyValueMemory, batch: Batch) -> None:
    oracle = Oracle.of(memory)
    loss = memory.loss(batch.query, batch.target)
    assert loss.shape == batch.target.shape
    for row, slots in enumerate(memory.query(batch.query).slots.tolist()):
        found = [slot for slot in slots if slot >= 0]
        query = batch.query[row].double().numpy()
        expected = oracle.loss(query, int(batch.target[row]), found)
        assert loss[row].item() == pytest.approx(expected, abs=1e-5)


@given(memories(), st.lists(batches(), min_size=1, max_size=3))
def test_commits_are_those_of_the_oracle(memory: KeyValueMemory, taught: list[Batch]) -> None:
    for batch in taught:
        oracle = Oracle.of(memory)
        hits = memory.query(batch.query)
        oracle.assert_answers(batch.query.double().numpy(), hits)
        memory.write(batch.query, batch.target)
        # Where float32 cannot tell two neighbours apart, either is the best.
        best = hits.slots[:, :1].tolist()
        oracle.commit(batch.query.double().numpy(), batch.target.numpy(), best)
        oracle.assert_same_state(memory)


@given(memories(noise=3.0), batches(), st.integers(0, 99))
def test_noise_on_ages_decides_what_is_forgotten(
    memory: KeyValueMemory, batch: Batch, seed: int
) -> None:
    oracle = Oracle.of(memory)
    best = memory.query(batch.query).slots[:, :1].tolist()
    jitter = torch.from_numpy(np.random.default_rng(seed).random(memory.size))
    with patch("fairseq_plugins.memory.slots.noise", lambda slots, *_: jitter[slots]):
        memory.write(batch.query, batch.target)
    noise = 3.0 * (2 * jitter.numpy() - 1)
    oracle.commit(batch.query.double().numpy(), batch.target.numpy(), best, noise)
    oracle.assert_same_state(memory)


@given(memories(), batches(), st.randoms(use_true_random=False))
def test_order_of_merging_rows_does_not_matter(
    memory: KeyValueMemory, batch: Batch, random: Random
) -> None:
    found = memory.query(batch.query).values[:, 0]
    query = batch.query[found >= 0]  # every row meets its right value
    order = random.sample(range(len(query)), len(query))
    other = KeyValueMemory(memory.size, DIM, VALUES, memory.neighbors)
    other.load_state_dict(memory.state_dict())
    memory.write(query, found[found >= 0])
    other.write(query[order], found[found >= 0][order])
    assert torch.allclose(memory.keys, other.keys, atol=2e-6)
    assert torch.equal(memory.values, other.values) and torch.equal(memory.ages, other.ages)


@given(memories(noise=8.0), batches(), st.integers(0, 12))
def test_micro_batches_are_one_batch(memory: KeyValueMemory, batch: Batch, cut: int) -> None:
    other = KeyValueMemory(memory.size, DIM, VALUES, memory.neighbors, age_noise=8.0)
    other.load_state_dict(memory.state_dict())
    memory.write(batch.query, batch.target)
    other.stage(batch.query[:cut], batch.target[:cut])
    other.stage(batch.query[cut:], batch.target[cut:])
    other.commit()
    for name, buffer in memory.named_buffers():
        assert torch.equal(buffer, other.get_buffer(name)), name


@given(memories(), batches())
def test_chosen_pairs_are_staged_as_if_they_were_alone(
    memory: KeyValueMemory, batch: Batch
) -> None:
    other = KeyValueMemory(memory.size, DIM, VALUES, memory.neighbors, age_noise=0.0)
    other.load_state_dict(memory.state_dict())
    chosen = torch.arange(len(batch.target)) % 3 == 1
    memory.stage(batch.query, batch.target, chosen=chosen)
    other.stage(batch.query[chosen], batch.target[chosen])
    assert memory.commit() == other.commit()
    for name, buffer in memory.named_buffers():
        assert torch.equal(buffer, other.get_buffer(name)), name


# --- Sentences of the contract, one by one ----------------------------------------------------


def test_empty_memory_answers_padding_and_no_nan() -> None:
    memory = small()
    query = torch.randn(2, 3, requires_grad=True)
    hits, loss = memory.query(query), memory.loss(query, values(1, 2))
    assert (hits.values == -1).all() and (hits.slots == -1).all()
    assert (hits.similarities == -torch.inf).all()
    assert (hits.weights == 0).all() and (hits.confidence == 0).all()
    assert (loss == 0).all()
    loss.sum().backward()
    assert query.grad is not None and (query.grad == 0).all()


def test_no_queries_are_answered_with_nothing() -> None:
    memory = small()
    for _ in range(2):  # empty, then filled
        hits = memory.query(torch.empty(0, 3))
        assert hits.values.shape == hits.similarities.shape == hits.weights.shape == (0, 2)
        assert memory.loss(torch.empty(0, 3), values().long()).shape == (0,)
        assert memory.write(torch.empty(0, 3), values().long()).pairs == 0
        memory.write(rows(E1), values(1))


def test_a_pair_is_remembered_at_once() -> None:
    memory = small()
    memory.write(rows(5 * E2), values(7))
    hits = memory.query(rows(0.1 * E2))
    assert hits.values[0].tolist() == [7, -1] and hits.slots[0].tolist() == [0, -1]
    assert hits.confidence.item() == 1.0


def test_temperature_is_that_of_the_paper() -> None:
    assert KeyValueMemory(1, 1, 1, neighbors=256).temperature == pytest.approx(39.36, abs=0.01)
    assert KeyValueMemory(1, 1, 1, neighbors=5).temperature == 1.0


def test_positive_beyond_the_neighbours_is_the_slot_that_last_held_the_value() -> None:
    memory = small(neighbors=1)
    memory.write(rows(E1, E2), values(1, 2))
    query = torch.tensor([[1.0, 0.5, 0.0]])
    unit = query[0] / query.norm()
    assert memory.loss(query, values(2)).item() == pytest.approx(float(unit[0] - unit[1]) + 0.1)


def test_slot_that_lost_the_value_is_a_further_negative() -> None:
    memory = small(neighbors=1)
    memory.write(rows(E1, E2), values(1, 1))  # both hold 1, so the neighbour is a positive
    memory.values[1] = 2
    memory.recent[1] = 1  # slot 1 was the last to hold 1, and now holds 2
    query = torch.tensor([[1.0, 0.99, 0.0]])
    unit = query[0] / query.norm()
    assert memory.loss(query, values(1)).item() == pytest.approx(float(unit[1] - unit[0]) + 0.1)


def test_missing_positive_counts_as_similarity_zero() -> None:
    memory = small()
    memory.write(rows(E1), values(1))
    assert memory.loss(rows(E1), values(2)).item() == pytest.approx(1.1)


def test_negative_similarities_are_not_masked_by_zeros() -> None:
    memory = small()
    memory.write(rows(-E1, -E1 - 0.1 * E2), values(1, 2))
    loss = memory.loss(rows(E1), values(1))  # d_pos = -1, d_neg is about -0.995
    assert loss.item() == pytest.approx(-0.995037 + 1 + 0.1, abs=1e-5)


def test_merge_and_eviction_of_one_slot_leave_the_written_pair() -> None:
    memory = small(size=1)
    memory.write(rows(E1), values(1))
    report = memory.write(rows(E1 + 0.1 * E2, E3), values(1, 2))
    assert (report.pairs, report.merged, report.evicted) == (2, 1, 1)
    assert torch.equal(memory.keys[0], E3) and memory.values[0] == 2 and memory.ages[0] == 0
    assert memory.recent[1] == 0 and memory.recent[2] == 0


def test_more_misses_than_slots_keep_the_last() -> None:
    memory = small(size=2)
    memory.write(rows(E1, E2, E3), values(1, 2, 3))
    assert memory.values.tolist() == [2, 3]
    assert memory.recent[1] == -1  # was never written


def test_oldest_slot_is_forgotten_and_use_keeps_young() -> None:
    memory = small(size=3)
    memory.write(rows(E1, E2, E3), values(1, 2, 3))
    memory.write(rows(E1), values(1))
    assert memory.ages.tolist() == [0, 1, 1]
    memory.write(rows(-E1), values(4))
    assert memory.values.tolist() == [1, 4, 3]  # of two equally old ones the lower slot
    assert memory.ages.tolist() == [1, 0, 2]


def test_commit_of_nothing_still_ages() -> None:
    memory = small()
    memory.write(rows(E1), values(1))
    report = memory.commit()
    assert report.pairs == 0 and memory.ages[0] == 1 and memory.commits == 2


def test_commit_sees_the_memory_as_it_was_when_queried() -> None:
    memory = small()
    memory.stage(rows(E1), values(1))
    memory.stage(rows(E1), values(1))  # the first is not committed, so this one misses too
    memory.commit()
    assert memory.values.tolist() == [1, 1, -1, -1]


def test_noise_spreads_what_is_forgotten_and_stays_within_its_bounds() -> None:
    forgotten = set()
    for seed in range(100):
        memory = KeyValueMemory(4, 2, 3, 1, age_noise=8.0, seed=seed)
        memory.write(torch.randn(4, 2), values(1, 1, 1, 1))
        memory.ages = values(0, 0, 17, 8)  # 17 - 8 > 0 + 8, but 17 - 8 < 8 + 8
        memory.write(torch.randn(1, 2), values(2))
        forgotten |= set(torch.nonzero(memory.values == 2).flatten().tolist())
    assert forgotten == {2, 3}


def test_every_commit_draws_its_own_noise() -> None:
    memory = KeyValueMemory(200, 2, 3, 1, age_noise=8.0)
    memory.write(torch.randn(200, 2), torch.ones(200, dtype=torch.int64))
    choices = []
    for _ in range(4):
        memory.commits += 1
        choices.append(memory._slots_to_write(1).item())
    assert len(set(choices)) > 1


def test_eval_mode_stages_only_what_is_forced() -> None:
    memory = small().eval()
    memory.stage(rows(E1), values(1))
    assert memory.commit().pairs == 0 and len(memory) == 0
    memory.stage(rows(E1), values(1), force=True)
    assert memory.commit().pairs == 1 and len(memory) == 1


def test_discarded_pairs_are_not_committed() -> None:
    memory = small()
    memory.stage(rows(E1), values(1))
    memory.discard()
    assert memory.commit().pairs == 0 and len(memory) == 0


def test_cleared_memory_is_a_new_one() -> None:
    memory, new = small(), small()
    memory.write(rows(E1, E2), values(1, 2))
    memory.stage(rows(E3), values(3))
    memory.clear()
    for name, buffer in memory.named_buffers():
        assert torch.equal(buffer, new.get_buffer(name)), name
    assert memory.commit().pairs == 0


BAD = [
    (torch.tensor([[torch.nan, 0, 0]]), values(1), "not finite"),
    (torch.tensor([[torch.inf, 0, 0]]), values(1), "not finite"),
    (torch.tensor([[1e30, 0, 0]]), values(1), "too large"),
    (torch.tensor([[1e300, 0, 0]], dtype=torch.float64), values(1), "too large"),
    (torch.ones(1, 4), values(1), r"queries must be \[N, 3\]"),
    (torch.ones(1, 3), values(10), r"outside \[0, 10\)"),
    (torch.ones(1, 3), values(-1), r"outside \[0, 10\)"),
    (torch.ones(1, 3), values(1, 2), r"targets must be \[1\] int64"),
    (torch.ones(1, 3), torch.ones(1), "int64"),
]


@pytest.mark.parametrize(("query", "target", "message"), BAD)
@pytest.mark.parametrize("method", ["loss", "stage", "write"])
def test_bad_input_is_refused_before_anything_is_written(
    query: torch.Tensor, target: torch.Tensor, message: str, method: str
) -> None:
    memory = small()
    memory.write(rows(E1), values(1))
    before = {name: buffer.clone() for name, buffer in memory.named_buffers()}
    memory.stage(rows(E2), values(2))
    with pytest.raises(ValueError, match=message):
        getattr(memory, method)(query, target)
    for name, buffer in memory.named_buffers():
        assert torch.equal(buffer, before[name]), name
    assert memory.commit().pairs == 1  # the good pair waits still


@pytest.mark.parametrize("name", ["size", "key_dim", "num_values", "neighbors", "margin"])
def test_settings_that_make_no_sense_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"memory {name} must be positive, not 0"):
        small(**{name: 0})


@settings(max_examples=30)
@given(memories(), batches())
def test_similarity_of_a_pair_does_not_depend_on_the_batch(
    memory: KeyValueMemory, batch: Batch
) -> None:
    together = memory.query(batch.query)
    for row in range(len(batch.query)):
        alone = memory.query(batch.query[row : row + 1])
        assert torch.equal(alone.similarities[0], together.similarities[row])
        assert torch.equal(alone.slots[0], together.slots[row])


def test_what_is_staged_does_not_change_with_what_it_was_made_of() -> None:
    memory, query, target = KeyValueMemory(4, 2, 5), torch.eye(2), torch.tensor([1, 2])
    origin = torch.tensor([3, 4])
    memory.stage(query, target, force=True, origin=origin)
    for tensor in (query, target, origin):
        tensor.zero_()
    memory.commit()
    assert torch.equal(memory.keys[:2], torch.eye(2))
    assert memory.values[:2].tolist() == [1, 2] and memory.origins[:2].tolist() == [3, 4]
