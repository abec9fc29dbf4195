"""Episodes show drawings with the label of the previous step."""

import numpy as np
import pytest
import torch

from fairseq_plugins.data.omniglot import OmniglotImages
from fairseq_plugins.data.sequences import LETTERS, SequenceEpisodes, label_codes
from fairseq_plugins.errors import InputError

CLASSES, DRAWINGS, SIZE = 30, 12, 6


@pytest.fixture
def images() -> OmniglotImages:
    pixels = np.random.default_rng(1).integers(0, 256, (CLASSES, DRAWINGS, SIZE, SIZE))
    return OmniglotImages(
        pixels.astype(np.uint8), [str(n) for n in range(CLASSES)], ["A"] * CLASSES
    )


def episodes(images: OmniglotImages, labels: str = "one-hot", **more: int) -> SequenceEpisodes:
    sizes = {"seed": 1, "ways": 5, "length": 50, "batches": 3, "batch_size": 4} | more
    return SequenceEpisodes(images, labels=labels, **sizes)


def test_every_class_is_shown_equally_often_by_different_drawings(images: OmniglotImages) -> None:
    item = episodes(images)[0]
    assert item["images"].shape == (50, SIZE, SIZE)
    assert item["classes"].bincount().tolist() == [10] * 5
    assert len(item["images"].flatten(1).unique(dim=0)) == 50


def test_labels_belong_to_classes_and_change_with_the_episode(images: OmniglotImages) -> None:
    dataset = episodes(images)
    labels = []
    for index in range(6):
        item = dataset[index]
        pairs = {(int(c), int(t)) for c, t in zip(item["classes"], item["target"], strict=True)}
        assert len(pairs) == 5  # one label a class
        labels.append(sorted(pairs))
    assert len({str(pairs) for pairs in labels}) > 1


@pytest.mark.parametrize("labels", ["one-hot", "strings"])
def test_the_right_label_comes_a_step_later(images: OmniglotImages, labels: str) -> None:
    dataset = episodes(images, labels)
    batch = dataset.collater([dataset[index] for index in range(4)])
    previous, target = batch["net_input"]["previous"], batch["target"]
    positions = target.shape[2]
    assert positions == (1 if labels == "one-hot" else LETTERS)
    assert (previous[:, 0] == 0).all()
    shown = previous[:, 1:].unflatten(2, (positions, -1))
    assert (shown.sum(-1) == 1).all()
    assert torch.equal(shown.argmax(-1), target[:, :-1])


def test_string_labels_are_five_letters_and_differ() -> None:
    codes = label_codes("strings", 15, np.random.default_rng(1))
    assert codes.shape == (15, 5) and set(np.unique(codes)) <= set(range(5))
    assert len({tuple(code) for code in codes}) == 15


def test_an_episode_is_a_function_of_seed_and_number(images: OmniglotImages) -> None:
    same, other = episodes(images)[7], episodes(images, seed=2)[7]
    assert torch.equal(episodes(images)[7]["images"], same["images"])
    assert not torch.equal(same["images"], other["images"])


def test_an_episode_may_end_in_the_middle_of_a_round(images: OmniglotImages) -> None:
    item = episodes(images, length=43)[0]
    assert len(item["classes"]) == 43 and item["classes"].bincount().max() <= 9


def test_too_few_drawings_are_an_error(images: OmniglotImages) -> None:
    with pytest.raises(InputError, match="13 drawings of a class are needed, but there are 12"):
        episodes(images, length=65)


@pytest.mark.parametrize("wrong", [{"ways": 0}, {"ways": -1}, {"length": 0}])
def test_episodes_without_anything_are_refused(images: OmniglotImages, wrong: dict) -> None:
    with pytest.raises(InputError, match="do not make an episode"):
        episodes(images, **wrong)
