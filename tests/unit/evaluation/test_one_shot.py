"""Measurements of embeddings with known results."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_plugins.data.episodes import Protocol
from fairseq_plugins.errors import InputError
from fairseq_plugins.evaluation import one_shot as one_shot_evaluation
from fairseq_plugins.evaluation.one_shot import (
    Embedder,
    Share,
    few_shot,
    lake_runs,
    retention,
    showings,
)

DRAWINGS = 20


def perfect(classes: int) -> Tensor:
    """Return all drawings of a class embedded at one place, far from the others."""
    return torch.eye(classes).unsqueeze(1).repeat(1, DRAWINGS, 1)


def meaningless(classes: int) -> Tensor:
    torch.manual_seed(1)
    return F.normalize(torch.randn(classes, DRAWINGS, 16), dim=-1)


def test_a_share_has_its_95_per_cent_interval() -> None:
    share = Share.of(torch.tensor([0.0, 1.0, 1.0, 1.0]))
    assert share.mean == 75 and share.episodes == 4
    assert share.interval == pytest.approx(1.96 * 50 / 2)  # the standard deviation is 0.5
    assert str(Share(98.4, 0.123, 9)) == "98.40 ± 0.12"


def test_few_shot_measures_every_protocol() -> None:
    protocols = [Protocol(5, 1), Protocol(20, 5)]
    found = few_shot(perfect(25), protocols, 20, 1, 40)
    assert {name: share.mean for name, share in found.items()} == {
        "5way_1shot": 100, "20way_5shot": 100,
    }  # fmt: skip
    assert few_shot(meaningless(25), protocols[:1], 200, 1, 40)["5way_1shot"].mean < 30


def test_a_protocol_that_needs_more_is_an_error() -> None:
    with pytest.raises(InputError, match="20way_1shot with 15 queries needs 20 classes with 16"):
        few_shot(perfect(5), [Protocol(20, 1)], 1, 1, 40)


def test_the_first_showing_is_a_guess_and_the_second_is_known() -> None:
    found = showings(perfect(30), ways=5, episodes=8, seed=1)
    assert list(found) == [1, 2, 3, 4, 5, 10]
    assert found[1].mean < 25
    assert all(found[k].mean == 100 for k in (2, 3, 4, 5, 10))


def test_showings_of_meaningless_embeddings_stay_at_chance() -> None:
    found = showings(meaningless(30), ways=5, episodes=8, seed=1)
    assert 10 < found[10].mean < 35


def test_a_memory_with_room_forgets_nothing_and_a_small_one_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(one_shot_evaluation, "PROBES", 10)
    found = retention(perfect(60), sizes=[8, 200], writes=[0, 5, 300], seed=1)
    assert found[200] == {0: 100, 5: 100, 300: 100}
    assert found[8][0] == pytest.approx(80)  # ten classes do not fit into eight slots
    assert found[8][300] < found[8][5] < 80
    often = retention(perfect(60), sizes=[8], writes=[2, 4, 6, 8], seed=1)[8]
    seldom = retention(perfect(60), sizes=[8], writes=[6, 8], seed=1)[8]
    assert seldom[8] < seldom[6] and seldom.items() <= often.items()


def test_the_life_long_test_needs_classes() -> None:
    with pytest.raises(InputError, match="needs more than 100 classes, and there are 30"):
        retention(perfect(30), [8], [0], 1)


def test_lakes_runs_are_classified_by_the_nearest() -> None:
    places = torch.eye(4)
    order = torch.tensor([2, 0, 3, 1])
    share = lake_runs([(places, places[order], order), (places, places[order], order.flip(0))])
    assert share.mean == 50 and share.episodes == 2


def test_pixels_are_their_own_embedding() -> None:
    images = np.random.default_rng(1).integers(0, 256, (2, 3, 4, 4)).astype(np.uint8)
    keys = Embedder(None)(images)
    assert keys.shape == (2, 3, 16)
    torch.testing.assert_close(keys[1, 2].view(4, 4), torch.from_numpy(images[1, 2]) / 255)


def test_views_are_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = Embedder(None, views=3)
    seen: list[Tensor] = []

    def model(pixels: Tensor) -> tuple[Tensor, dict]:
        seen.append(pixels)
        return torch.full((len(pixels), 2), float(len(seen))), {}

    monkeypatch.setattr(embedder, "model", model)
    images = np.zeros((2, 20, 8, 8), np.uint8)
    images[..., 2:6, 2:6] = 255
    keys = embedder(images)
    assert keys.shape == (2, 20, 2) and len(seen) == 3
    torch.testing.assert_close(keys, torch.full_like(keys, 3 / 2**0.5))  # of unit vectors
    assert torch.equal(seen[0].view(2, 20, 8, 8), torch.from_numpy(images) / 255)
    assert not torch.equal(seen[0], seen[1]) and not torch.equal(seen[1], seen[2])
