"""The memory, compared with traces of the reference implementation, see tests/data/README.md.

Intended differences: in the reference an empty slot is a candidate with similarity 0 and value
0, and a similarity below 0 loses to a masked one; here neither is so. There, rows of one batch
that touch one slot overwrite each other, here they are summed; there, the b-th oldest slot is
kept for the b-th row even if that row needs none, here the rows that need a slot share the oldest.
Every test counts what it compared, so that it cannot quietly come to compare nothing.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fairseq_plugins.memory import KeyValueMemory
from tests.unit.memory.oracle import Oracle

DATA = Path(__file__).resolve().parents[2] / "data"
SINGLE = ["b1_k8_s0", "b1_k64_s0", "x_b1_k64_long_s3"]  # one query a step
# (d_pos, d_neg) exist and are >= 0, so that loss and gradient are the same thing.
COMPARABLE_LOSSES = {"b1_k8_s0": 24, "b1_k64_s0": 24, "x_b1_k64_long_s3": 166}
STEPS = {"b1_k8_s0": 40, "b1_k64_s0": 40, "x_b1_k64_long_s3": 200}
FULL_STEPS = {"b1_k8_s0": 0, "b1_k64_s0": 0, "x_b1_k64_long_s3": 130}
STEPS_WITH_NEIGHBOURS = {"b1_k8_s0": 37, "b1_k64_s0": 37, "x_b1_k64_long_s3": 199}
KEY_ERROR, LOSS_ERROR, WEIGHT_ERROR = 1e-6, 1e-5, 2e-4


@dataclass
class Trace:
    arrays: dict[str, np.ndarray]

    @classmethod
    def load(cls, name: str) -> "Trace":
        with np.load(DATA / f"{name}.npz") as arrays:
            return cls(dict(arrays))

    def memory(self) -> KeyValueMemory:
        dim, size, values, k = (int(number) for number in self.arrays["config"][:4])
        return KeyValueMemory(size, dim, values, neighbors=k, margin=0.1, age_noise=0.0)

    def steps(self) -> int:
        return len(self.arrays["queries"])

    def query(self, step: int) -> Tensor:
        return torch.from_numpy(self.arrays["queries"][step])  # [B, D]

    def target(self, step: int) -> Tensor:
        return torch.from_numpy(self.arrays["intended"][step]).long()  # [B]


def positives(memory: KeyValueMemory, query: Tensor) -> tuple[list[int], np.ndarray]:
    """Return neighbours with similarity above 0, which no empty slot can displace."""
    hits = memory.query(query)
    count = int((hits.similarities[0] > 0).sum())
    return hits.slots[0, :count].tolist(), hits.weights[0, :count].detach().numpy()


def comparable(memory: KeyValueMemory, query: Tensor, target: Tensor) -> bool:
    """Return whether each row has a positive and a negative neighbour of similarity >= 0."""
    hits = memory.query(query)
    for row, value in enumerate(target.tolist()):
        pool = [slot for slot in hits.slots[row].tolist() if slot >= 0]
        pool += [slot for slot in [int(memory.recent[value])] if slot >= 0]
        unit = query[row] / query[row].norm()
        near = [slot for slot in pool if float(unit @ memory.keys[slot]) >= 0]
        held = [int(memory.values[slot]) == value for slot in near]
        if all(held) or not any(held):
            return False
    return True


def assert_same_loss(memory: KeyValueMemory, trace: Trace, step: int) -> None:
    query = trace.query(step).requires_grad_()
    loss = memory.loss(query, trace.target(step)).mean()
    loss.backward()
    assert loss.item() - 0.1 == pytest.approx(trace.arrays["teacher_loss"][step], abs=LOSS_ERROR)
    assert query.grad is not None
    np.testing.assert_allclose(query.grad.numpy(), trace.arrays["grad_query"][step], atol=1e-5)


@pytest.mark.parametrize("name", SINGLE)
def test_states_agree_after_every_step(name: str) -> None:
    trace, compared = Trace.load(name), 0
    memory = trace.memory()
    for step in range(trace.steps()):
        memory.write(trace.query(step), trace.target(step))
        filled = memory.values >= 0
        seen = memory.recent >= 0
        after = {key: array[step] for key, array in trace.arrays.items() if key[:4] == "mem_"}
        np.testing.assert_array_equal(memory.values.clamp(min=0).numpy(), after["mem_vals"])
        np.testing.assert_array_equal(memory.ages.numpy(), after["mem_age"])
        np.testing.assert_allclose(memory.keys.numpy(), after["mem_keys"], atol=KEY_ERROR, rtol=0)
        assert not after["mem_keys"][~filled.numpy()].any()
        recent = torch.from_numpy(trace.arrays["recent_idx"][step]).long()
        assert torch.equal(memory.recent[seen], recent[seen])
        compared += 1
    assert compared == STEPS[name]


@pytest.mark.parametrize("name", SINGLE)
def test_losses_and_gradients_agree(name: str) -> None:
    trace, compared = Trace.load(name), 0
    memory = trace.memory()
    for step in range(trace.steps()):
        query, target = trace.query(step), trace.target(step)
        if comparable(memory, query, target):
            assert_same_loss(memory, trace, step)
            compared += 1
        memory.write(query, target)
    assert compared == COMPARABLE_LOSSES[name]


@pytest.mark.parametrize("name", SINGLE)
def test_neighbours_and_weights_agree(name: str) -> None:
    trace, compared = Trace.load(name), Counter[str]()
    memory = trace.memory()
    for step in range(trace.steps()):
        query = trace.query(step)
        slots, weights = positives(memory, query)
        mask = trace.arrays["mask"][step, 0]
        assert slots == trace.arrays["topk_idxs"][step, 0, : len(slots)].tolist()
        if slots:
            assert memory.query(query).values[0, 0] == trace.arrays["result"][step, 0]
            # Empty slots share the reference's softmax, but leave its ratios alone.
            ratios = weights / weights[0]
            np.testing.assert_allclose(ratios, mask[: len(slots)] / mask[0], atol=2e-4)
            compared["ratios"] += 1
        if len(memory) == memory.size:
            weights = memory.query(query).weights[0].numpy()
            np.testing.assert_allclose(weights, mask, atol=WEIGHT_ERROR)
            compared["full"] += 1
        memory.write(query, trace.target(step))
    assert compared["full"] == FULL_STEPS[name]
    assert compared["ratios"] == STEPS_WITH_NEIGHBOURS[name]


def test_the_oracle_of_the_other_tests_agrees_too() -> None:
    trace, compared = Trace.load("b1_k8_s0"), 0
    oracle = Oracle.of(trace.memory())
    for step in range(trace.steps()):
        oracle.commit(trace.query(step).double().numpy(), trace.target(step).numpy())
        np.testing.assert_array_equal(oracle.values.clip(min=0), trace.arrays["mem_vals"][step])
        np.testing.assert_array_equal(oracle.ages, trace.arrays["mem_age"][step])
        np.testing.assert_allclose(oracle.keys, trace.arrays["mem_keys"][step], atol=KEY_ERROR)
        compared += 1
    assert compared == 40


def load_state(memory: KeyValueMemory, trace: Trace, step: int) -> None:
    """Put the memory into the reference's state before a step."""
    memory.clear()
    if step == 0:
        return
    keys = torch.from_numpy(trace.arrays["mem_keys"][step - 1])
    filled = keys.any(dim=1)
    values = torch.from_numpy(trace.arrays["mem_vals"][step - 1]).long()
    memory.keys.copy_(keys)
    memory.values.copy_(values.masked_fill(~filled, -1))
    memory.ages = torch.from_numpy(trace.arrays["mem_age"][step - 1])
    seen = torch.from_numpy(trace.arrays["intended"][:step]).long().unique()
    memory.recent[seen] = torch.from_numpy(trace.arrays["recent_idx"][step - 1]).long()[seen]


def contents(keys: np.ndarray, values: np.ndarray, ages: np.ndarray) -> np.ndarray:
    """Return filled slots as rows of (value, age, key), in an order independent of slots."""
    filled = keys.any(axis=1)
    rows = np.column_stack([values, ages, keys.round(4)])[filled]
    exact = np.column_stack([values, ages, keys])[filled]
    return exact[np.lexsort(rows.T[::-1])]


def test_batches_of_four_agree_from_the_same_state() -> None:
    """The reference may give a row any slot, so contents are compared without slots."""
    trace, compared = Trace.load("b4_k64_s10"), Counter[str]()
    memory = trace.memory()
    for step in range(trace.steps()):
        load_state(memory, trace, step)
        query, target = trace.query(step), trace.target(step)
        if comparable(memory, query, target):
            assert_same_loss(memory, trace, step)
            compared["losses"] += 1
        hits = memory.query(query)
        wrong = hits.values[:, 0] != target
        differ = wrong != torch.from_numpy(trace.arrays["incorrect"][step])
        theirs_best = torch.from_numpy(trace.arrays["topk_idxs"][step, :, 0]).long()
        assert (memory.values[theirs_best[differ]] == -1).all()  # an empty slot answered there
        touched = hits.slots[:, 0][~wrong].tolist()
        before = memory.values.clone()
        memory.write(query, target)
        written = torch.nonzero((before == -1) & (memory.values != -1)).squeeze(1)
        offered = sorted(trace.arrays["oldest_idxs"][step].tolist())
        assert len(written) == int(wrong.sum())
        assert set(written.tolist()) <= set(offered)
        once = len(set(touched)) == len(touched)  # else overwritten there, summed here
        if once and not differ.any():
            state = memory.keys.numpy(), memory.values.numpy(), memory.ages.numpy()
            theirs = [trace.arrays[key][step] for key in ("mem_keys", "mem_vals", "mem_age")]
            np.testing.assert_allclose(contents(*state), contents(*theirs), atol=KEY_ERROR)
            compared["states"] += 1
    assert compared == {"losses": 29, "states": 31}
