"""Draws depend only on (seed, index); episodes follow the protocol."""

from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fairseq_plugins.data.drawn import drawn_together, epoch_iterator
from fairseq_plugins.data.episodes import (
    AllDrawings,
    ClassBatches,
    Distortion,
    Protocol,
    play,
)
from fairseq_plugins.data.omniglot import OmniglotImages
from fairseq_plugins.errors import InputError
from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.modules.one_shot import NEAREST, VOTE

CLASSES, DRAWINGS, SIZE = 9, 6, 8


@pytest.fixture
def images() -> OmniglotImages:
    pixels = np.random.default_rng(1).integers(0, 256, (CLASSES, DRAWINGS, SIZE, SIZE))
    names = [f"Greek/character{n:02}" for n in range(CLASSES)]
    return OmniglotImages(pixels.astype(np.uint8), names, ["Greek"] * CLASSES)


def batches(images: OmniglotImages, epoch: int = 1, skip: int = 0, **options: Any) -> list[dict]:
    dataset = ClassBatches(images, 1, 4, 2, batches=6, distortion=Distortion(shift=1))
    iterator = epoch_iterator(dataset, True, epoch, **options)
    return list(islice(iterator.next_epoch_itr(), skip, None))


def same(one: list[dict], other: list[dict]) -> bool:
    pixels = [[batch["net_input"]["images"] for batch in batches] for batches in (one, other)]
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(*pixels, strict=True))


def test_a_batch_holds_different_drawings_of_different_classes(images: OmniglotImages) -> None:
    batch = ClassBatches(images, 1, 5, 3, batches=2)[0]
    pixels, target = batch["net_input"]["images"], batch["target"]
    assert pixels.shape == (15, SIZE, SIZE) and pixels.max() <= 1
    assert len(target.unique()) == 5 and (target.bincount()[target.unique()] == 3).all()
    assert len(pixels.flatten(1).unique(dim=0)) == 15
    for drawing, label in zip(pixels, target, strict=True):
        of_class = torch.from_numpy(images.images[label]).float() / 255
        assert (of_class == drawing).flatten(1).all(1).any()


def test_epochs_bring_new_batches_and_validation_the_same(images: OmniglotImages) -> None:
    assert not same(batches(images, epoch=1), batches(images, epoch=2))
    dataset = ClassBatches(images, 1, 4, 2, batches=6)
    first, second = (
        list(epoch_iterator(dataset, False, epoch).next_epoch_itr()) for epoch in (1, 2)
    )
    assert same(first, second)


def test_any_number_of_workers_draws_the_same(images: OmniglotImages) -> None:
    assert same(batches(images), batches(images, num_workers=2))


def test_two_ranks_share_an_epoch(images: OmniglotImages) -> None:
    shards = [batches(images, num_shards=2, shard_id=rank) for rank in (0, 1)]
    merged = [batch for pair in zip(*shards, strict=True) for batch in pair]
    assert same(merged, batches(images))


def test_in_training_no_rank_has_less_to_do(images: OmniglotImages) -> None:
    ranks = [batches(images, num_shards=4, shard_id=rank) for rank in range(4)]  # of six batches
    assert [len(rank) for rank in ranks] == [1, 1, 1, 1] and all(rank[0] for rank in ranks)
    with pytest.raises(InputError, match="--batches 6 are not enough for 7 workers"):
        batches(images, num_shards=7)


def test_examples_are_drawn_in_batches() -> None:
    assert drawn_together(4) == 4
    with pytest.raises(InputError, match="use --batch-size, not --max-tokens alone"):
        drawn_together(None)


def test_a_resumed_epoch_goes_on(images: OmniglotImages) -> None:
    dataset = ClassBatches(images, 1, 4, 2, batches=6)
    whole = epoch_iterator(dataset, True, 1)
    stream = whole.next_epoch_itr()
    list(islice(stream, 4))
    resumed = epoch_iterator(dataset, True, 1)
    resumed.load_state_dict(whole.state_dict())
    assert same(list(resumed.next_epoch_itr()), list(stream))


def test_distortion_is_drawn_for_each_drawing(images: OmniglotImages) -> None:
    drawing = torch.rand(1, SIZE, SIZE).expand(4, -1, -1)
    moved = Distortion(shift=2, rotation=20, shear=0.2, scale=0.1)(
        drawing, np.random.default_rng(1)
    )
    assert len(moved.flatten(1).unique(dim=0)) == 4
    assert torch.equal(Distortion()(drawing, np.random.default_rng(1)), drawing)


def test_a_shift_moves_by_whole_pixels() -> None:
    drawing = torch.zeros(1, SIZE, SIZE)
    drawing[0, 4, 4] = 1

    class Ones:
        def uniform(self, low: float, high: float, shape: tuple) -> np.ndarray:
            return np.ones(shape)

    moved = Distortion(shift=2)(drawing, Ones())  # type: ignore[arg-type]
    assert moved[0, 2, 2] == pytest.approx(1, abs=1e-5)


def test_too_few_classes_or_drawings_are_an_error(images: OmniglotImages) -> None:
    with pytest.raises(InputError, match=r"10 different classes .* has 9"):
        ClassBatches(images, 1, 10, 2, batches=1)
    with pytest.raises(InputError, match="7 drawings of a class are needed, but there are 6"):
        ClassBatches(images, 1, 2, 7, batches=1)


def test_validation_sees_every_drawing_once(images: OmniglotImages) -> None:
    batch = AllDrawings(images)[0]
    assert batch["net_input"]["images"].shape == (CLASSES * DRAWINGS, SIZE, SIZE)
    assert batch["target"].tolist() == [n for n in range(CLASSES) for _ in range(DRAWINGS)]


def test_classes_far_apart_are_never_confused() -> None:
    keys = torch.eye(CLASSES).unsqueeze(1).expand(-1, DRAWINGS, -1)
    right = play(keys, Protocol(5, 1, queries=3), episodes=20, seed=1, temperature=40)
    assert right.tolist() == [1.0] * 20


def test_meaningless_embeddings_are_at_chance() -> None:
    torch.manual_seed(1)
    keys = F.normalize(torch.randn(30, 20, 16), dim=-1)
    right = play(keys, Protocol(5, 1), episodes=300, seed=1, temperature=40)
    assert right.mean() == pytest.approx(0.2, abs=0.02)


def test_episodes_are_played_with_a_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every example is written to an empty memory, which is asked about every other drawing."""
    happened: list[tuple[str, int, int]] = []
    for name in ("write", "query"):
        original = getattr(KeyValueMemory, name)

        def noted(self: Any, query: Any, *args: Any, name: str = name, of: Any = original) -> Any:
            happened.append((name, len(self), len(query)))
            return of(self, query, *args)

        monkeypatch.setattr(KeyValueMemory, name, noted)
    play(torch.randn(9, 20, 4), Protocol(5, 2), episodes=2, seed=1, temperature=40)
    assert happened == [("write", 0, 10), ("query", 10, 75)] * 2


def test_the_rule_decides_where_a_class_has_several_examples() -> None:
    torch.manual_seed(1)
    keys = torch.randn(30, 20, 4)
    voted, nearest = (play(keys, Protocol(5, 5, rule=rule), 50, 1, 10) for rule in (VOTE, NEAREST))
    assert not torch.equal(voted, nearest)


def test_episodes_depend_on_seed_and_number_only() -> None:
    torch.manual_seed(1)
    keys = torch.randn(30, 20, 4)
    few, many, other = (
        play(keys, Protocol(5, 1), episodes, seed, 40)
        for episodes, seed in ((5, 1), (9, 1), (5, 2))
    )
    assert torch.equal(few, many[:5]) and not torch.equal(few, other)


def test_protocols_say_what_they_need() -> None:
    assert Protocol(5, 1).name == "5way_1shot"
    assert Protocol(5, 5).fits(5, 20) and not Protocol(5, 6).fits(5, 20)
    assert not Protocol(5, 5).fits(4, 20)
