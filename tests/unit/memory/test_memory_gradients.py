"""Gradients that the memory gives to its queries."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from fairseq_plugins.memory import KeyValueMemory
from tests.unit.memory.oracle import Oracle
from tests.unit.memory.states import DIM, Batch, batches, memories

STEP = 1e-5  # of finite differences, in float64
MARGIN_EDGE = 1e-4  # the loss has no derivative at its kink


@settings(max_examples=50)
@given(memories(), batches(max_rows=4))
def test_gradient_of_the_loss_is_that_of_the_oracle(memory: KeyValueMemory, batch: Batch) -> None:
    oracle = Oracle.of(memory)
    query = batch.query.clone().requires_grad_()
    memory.loss(query, batch.target).sum().backward()
    assert query.grad is not None
    for row, slots in enumerate(memory.query(batch.query).slots.tolist()):
        arguments = batch.query[row].double().numpy(), int(batch.target[row])
        found = [slot for slot in slots if slot >= 0]
        if oracle.loss(*arguments, found) < MARGIN_EDGE:
            continue
        expected = oracle.loss_gradient(*arguments, found)
        scale = np.linalg.norm(arguments[0])
        np.testing.assert_allclose(query.grad[row].numpy() * scale, expected * scale, atol=1e-5)


def taught() -> tuple[KeyValueMemory, torch.Tensor]:
    memory = KeyValueMemory(30, DIM, 5, neighbors=8)
    memory.write(torch.randn(20, DIM), torch.arange(20) % 5)
    return memory, torch.randn(6, DIM) * 3


def finite_differences(function, query: np.ndarray) -> np.ndarray:  # type: ignore[no-untyped-def]
    gradient = np.zeros_like(query)
    for index in np.ndindex(*query.shape):
        step = np.zeros_like(query)
        step[index] = STEP
        gradient[index] = (function(query + step) - function(query - step)) / (2 * STEP)
    return gradient


def test_the_oracle_derives_rightly() -> None:
    memory, query = taught()
    oracle, sloped = Oracle.of(memory), 0
    for row in query.double().numpy():
        slots = oracle.neighbours(row)
        expected = finite_differences(lambda q, s=slots: oracle.loss(q, 3, s), row)
        np.testing.assert_allclose(oracle.loss_gradient(row, 3, slots), expected, atol=1e-7)
        sloped += expected.any()
    assert sloped >= 3


@pytest.mark.parametrize("answer", ["similarities", "weights"])
def test_gradient_of_what_is_read_is_its_finite_difference(answer: str) -> None:
    memory, query = taught()
    oracle = Oracle.of(memory)
    found = [oracle.neighbours(row) for row in query.double().numpy()]
    mix = torch.randn(len(query), memory.neighbors)

    def read(queries: np.ndarray) -> float:
        total = 0.0
        for row, slots, factors in zip(queries, found, mix.double().numpy(), strict=True):
            if answer == "weights":
                total += float(factors @ oracle.weights(row, slots))
            else:
                total += sum(f * oracle.similarity(row, s) for f, s in zip(factors, slots))  # noqa: B905
        return total

    query.requires_grad_()
    (getattr(memory.query(query), answer) * mix).sum().backward()
    assert query.grad is not None
    expected = finite_differences(read, query.detach().double().numpy())
    np.testing.assert_allclose(query.grad.numpy(), expected, atol=1e-5)
    assert np.abs(expected).max() > 1e-3


def test_padding_gets_no_gradient() -> None:
    memory = KeyValueMemory(4, DIM, 5, neighbors=3)
    memory.write(torch.randn(1, DIM), torch.tensor([1]))
    query = torch.randn(2, DIM, requires_grad=True)
    hits = memory.query(query)
    (hits.weights + hits.similarities).sum().backward()
    assert query.grad is not None and query.grad.any()
    alone = query.detach().clone().requires_grad_()
    memory.query(alone).similarities[:, 0].sum().backward()
    assert torch.allclose(query.grad, alone.grad)


def test_loss_and_answer_of_one_query_are_differentiated_separately() -> None:
    memory, query = taught()
    query.requires_grad_()
    target = torch.zeros(len(query), dtype=torch.int64)
    memory.loss(query, target).sum().backward()
    memory.query(query).weights[:, 0].sum().backward()
    assert query.grad is not None and torch.isfinite(query.grad).all()


def test_nothing_in_the_memory_is_differentiated() -> None:
    memory, query = taught()
    query.requires_grad_()
    memory.write(query, torch.zeros(len(query), dtype=torch.int64))
    assert not list(memory.parameters())
    assert not any(buffer.requires_grad for buffer in memory.buffers())
    with torch.no_grad():
        assert not memory.query(query).similarities.requires_grad


def test_memory_changed_before_backward_is_noticed() -> None:
    memory, query = taught()
    query.requires_grad_()
    similarities = memory.query(query).similarities
    memory.write(query, torch.zeros(len(query), dtype=torch.int64))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        similarities.sum().backward()


def test_autocast_changes_nothing() -> None:
    memory = KeyValueMemory(400, DIM, 5, neighbors=8)
    memory.write(torch.randn(400, DIM), torch.arange(400) % 5)
    query = torch.randn(60, DIM)
    target = torch.arange(len(query)) % 5
    results = []
    for enabled in (False, True):
        copy = KeyValueMemory(400, DIM, 5, neighbors=8)
        copy.load_state_dict(memory.state_dict())
        asked = query.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            hits, loss = copy.query(asked), copy.loss(asked, target)
            copy.write(asked.detach(), target)
        loss.sum().backward()
        assert asked.grad is not None and loss.dtype == torch.float32
        results.append([hits.similarities, hits.weights, hits.slots, loss, asked.grad, copy.keys])
    for without, within in zip(*results, strict=True):
        assert torch.equal(without, within)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_queries_of_any_float_type_get_gradients_of_their_type(dtype: torch.dtype) -> None:
    memory, query = taught()
    query = query.to(dtype).requires_grad_()
    same = query.detach().float().requires_grad_()
    target = torch.zeros(len(query), dtype=torch.int64)
    loss, expected = memory.loss(query, target), memory.loss(same, target)
    assert torch.equal(loss, expected)
    loss.sum().backward()
    expected.sum().backward()
    assert query.grad is not None and same.grad is not None and query.grad.dtype == dtype
    assert torch.equal(query.grad, same.grad.to(dtype))
