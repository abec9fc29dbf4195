"""Losses and votes of one-shot learning, compared with plain sums and the memory itself."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.modules.one_shot import NEAREST, VOTE, name_classes, neighborhood_loss


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
    query, target = torch.randn(40, 16), torch.arange(20).repeat(2)
    memory = written(torch.randn(20, 1, 16))
    expected = neighborhood_loss(query, target, 0.1), name_classes(memory, query, VOTE)
    with torch.autocast("cpu", torch.bfloat16):
        found = neighborhood_loss(query, target, 0.1), name_classes(memory, query, VOTE)
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


def written(support: Tensor) -> KeyValueMemory:
    """Return a memory of examples [ways, shots, D], with fewer filled slots than k."""
    ways, shots, dim = support.shape
    memory = KeyValueMemory(size=100, key_dim=dim, num_values=ways, neighbors=64)
    memory.write(support.flatten(0, 1), torch.arange(ways).repeat_interleave(shots))
    return memory


@pytest.mark.parametrize("shots", [1, 3])
def test_classes_are_named_by_the_sum_of_votes(shots: int) -> None:
    support, query = torch.randn(5, shots, 8), torch.randn(40, 8)
    memory = written(support)
    memory.temperature = 2.0  # so low that the votes of several slots can outweigh the nearest
    cosines = torch.einsum("qd,wsd->qws", F.normalize(query, dim=1), F.normalize(support, dim=2))
    votes = (memory.temperature * cosines).exp().sum(2)
    assert torch.equal(name_classes(memory, query, VOTE), votes.argmax(1))
    nearest = cosines.amax(2).argmax(1)
    assert torch.equal(name_classes(memory, query, NEAREST), nearest)
    assert torch.equal(votes.argmax(1), nearest) == (shots == 1)


def test_an_unknown_rule_is_an_error() -> None:
    with pytest.raises(ValueError, match="rule 'mean' is not one of nearest, vote"):
        name_classes(written(torch.randn(2, 1, 4)), torch.randn(1, 4), "mean")
