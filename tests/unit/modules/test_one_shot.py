"""Losses and votes of one-shot learning, beside plain sums and the memory itself."""

import math

import pytest
import torch
import torch.nn.functional as F

from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.modules.one_shot import classify, neighborhood_loss


def test_neighborhood_loss_is_its_definition() -> None:
    torch.manual_seed(1)
    query, target = torch.randn(6, 4), torch.tensor([0, 1, 0, 2, 1, 0])
    found = neighborhood_loss(query, target, temperature=0.5)
    unit = F.normalize(query, dim=1).double()
    for i in range(6):
        weight = [math.exp(float(unit[i] @ unit[j]) / 0.5) if j != i else 0.0 for j in range(6)]
        right = sum(w for j, w in enumerate(weight) if target[j] == target[i])
        expected = -math.log(right / sum(weight)) if right else 0.0
        assert float(found[i]) == pytest.approx(expected, abs=1e-5)


def test_autocast_makes_no_difference() -> None:
    torch.manual_seed(1)
    query, target = torch.randn(40, 16), torch.arange(20).repeat(2)
    support = torch.randn(20, 1, 16)
    expected = neighborhood_loss(query, target, 0.1), classify(query, support, 40.0)
    with torch.autocast("cpu", torch.bfloat16):
        found = neighborhood_loss(query, target, 0.1), classify(query, support, 40.0)
    assert found[0].dtype == torch.float32
    assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])


def test_a_class_alone_teaches_nothing() -> None:
    query = torch.randn(3, 4, requires_grad=True)
    loss = neighborhood_loss(query, torch.tensor([0, 1, 2]), 0.1)
    loss.sum().backward()
    assert loss.tolist() == [0.0] * 3 and query.grad is not None
    assert torch.isfinite(query.grad).all()


def test_neighborhood_loss_separates_classes() -> None:
    torch.manual_seed(1)
    query = torch.randn(8, 4, requires_grad=True)
    target = torch.arange(4).repeat(2)
    optimizer = torch.optim.Adam([query], 0.1)
    for _ in range(50):
        optimizer.zero_grad()
        neighborhood_loss(query, target, 0.1).mean().backward()
        optimizer.step()
    assert neighborhood_loss(query, target, 0.1).max() < 0.1


@pytest.mark.parametrize("shots", [1, 3])
def test_votes_are_those_of_a_memory_written_once(shots: int) -> None:
    torch.manual_seed(1)
    support, query = torch.randn(5, shots, 8), torch.randn(40, 8)
    memory = KeyValueMemory(size=100, key_dim=8, num_values=5, neighbors=64)
    memory.write(support.flatten(0, 1), torch.arange(5).repeat_interleave(shots))
    hits = memory.query(query)
    votes = torch.zeros(40, 6).scatter_add_(1, hits.values + 1, hits.weights)[:, 1:]
    assert torch.equal(classify(query, support, memory.temperature), votes.argmax(1))


def test_episodes_are_classified_together() -> None:
    torch.manual_seed(1)
    support, query = torch.randn(7, 5, 2, 8), torch.randn(7, 10, 8)
    together = classify(query, support, 10)
    for one in range(7):
        assert torch.equal(together[one], classify(query[one], support[one], 10))
