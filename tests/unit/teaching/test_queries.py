"""Queries of an attached memory, fitted to the features of a text."""

import pytest
import torch
from torch import Tensor

from fairseq_plugins.teaching import queries
from fairseq_plugins.teaching.loaded_checkpoint import Corpus, LoadedCheckpoint
from fairseq_plugins.teaching.queries import QUERIES, fit_queries
from tests.tiny_training import Training


@pytest.fixture
def loaded(trained: Training) -> LoadedCheckpoint:
    """Of ``gnmt_memory``, which has the same reader; its keys are narrower than its features."""
    result = LoadedCheckpoint(trained.last, Corpus(trained.data, 100), autocast="none")
    result.memory.clear()
    return result


def features() -> Tensor:
    """Correlated features [N, 4] with different means and deviations."""
    return torch.randn(500, 4) @ torch.randn(4, 4) * torch.tensor([1.0, 3.0, 0.5, 2.0]) + 5


def projected(seen: Tensor, kind: str, width: int) -> Tensor:
    weight = queries._weight(seen, kind, width)
    return (seen - seen.mean(0)) @ weight.T


def test_scaled_features_have_deviation_1() -> None:
    torch.testing.assert_close(projected(features(), "scaled", 4).std(0), torch.ones(4))


def test_components_are_uncorrelated_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    covariance = torch.cov(projected(features(), "pca", 3).T)
    strength = covariance.diagonal()
    torch.testing.assert_close(covariance, torch.diag(strength), atol=1e-4, rtol=0)
    assert bool((strength.diff() <= 0).all())
    monkeypatch.setattr(queries, "WHITENING", 1.0)
    whitened = torch.cov(projected(features(), "pca", 3).T)
    torch.testing.assert_close(whitened, torch.eye(3), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["pca", "trained"])
def test_queries_are_centred_and_repeatable(loaded: LoadedCheckpoint, kind: str) -> None:
    first = fit_queries(loaded, kind, "train", 300, updates=3)
    weights = loaded.model.decoder.reader.project.weight.clone()
    assert first == fit_queries(loaded, kind, "train", 300, updates=3)
    assert torch.equal(loaded.model.decoder.reader.project.weight, weights)
    assert len(loaded.memory) == 0
    assert first.tokens == 300
    assert 0 < first.variance <= 1


def test_training_reduces_the_margin_loss(loaded: LoadedCheckpoint) -> None:
    def loss(updates: int) -> float:
        fit_queries(loaded, "trained", "train", 2000, updates)
        total = 0.0
        for features, target in queries._read(loaded, "train", epoch=1):
            query = loaded.model.decoder.reader.project(features)
            total += float(loaded.memory.loss(query, target).mean())
            loaded.memory.write(query, target)
        loaded.memory.clear()
        return total

    assert loss(60) < loss(0)


def test_there_are_names_for_all_kinds() -> None:
    assert set(QUERIES) >= {"features", "scaled", "pca", "trained"}
