"""A network is tested with characters that it has not seen, in the size that it knows."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fairseq_plugins.errors import InputError
from fairseq_plugins.evaluation.omniglot_parts import LAKE_SPLIT, lake_must_be_unseen, part_to_test

NAMES = [f"Greek/character{number:02}" for number in range(6)]
TRAINED = NAMES[:3]
SPLITS = {
    "one": (NAMES[:3], NAMES[3:]),
    "other": (NAMES[3:5], NAMES[1:3]),
    "apart": ([], NAMES[4:]),
    LAKE_SPLIT: (NAMES[:2], NAMES[2:]),
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    turns = {"train": [0, 90], "test": [0]}
    splits = {
        name: {"parts": {"train": train, "test": test}, "turns": turns}
        for name, (train, test) in SPLITS.items()
    }
    (tmp_path / "splits.json").write_text(json.dumps(splits))
    for size in (20, 28):
        images = np.zeros((len(NAMES), 4, size, size), np.uint8)
        alphabets, characters = zip(*(name.split("/") for name in NAMES), strict=True)
        np.savez(
            tmp_path / f"omniglot_{size}.npz",
            images=images, alphabets=alphabets, characters=characters,
        )  # fmt: skip
    return tmp_path


def checkpoint(folder: Path, **task: object) -> Path:
    """Return a checkpoint file with the expected entries."""
    state = {"cfg": {"task": task}, "model": {}, "optimizer_history": [{"num_updates": 1}]}
    torch.save(state, folder / "checkpoint.pt")
    return folder / "checkpoint.pt"


def test_the_checkpoint_says_split_and_size(data: Path) -> None:
    path = checkpoint(data, split="one", image_size=20)
    split, images = part_to_test(path, data, None, "test", None)
    assert split == "one" and images.size == 20 and list(images.names) == NAMES[3:]


def test_another_split_may_be_named_if_it_has_not_been_seen(data: Path) -> None:
    path = checkpoint(data, split="one", image_size=28)
    split, images = part_to_test(path, data, "apart", "test", 28)
    assert split == "apart" and list(images.names) == NAMES[4:]


def test_characters_of_the_training_may_be_asked_for_by_name(data: Path) -> None:
    path = checkpoint(data, split="one", image_size=28)
    assert len(part_to_test(path, data, "one", "train", None)[1]) == 2 * len(TRAINED)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"split": "other"}, "was trained on 2 of the 2 characters of other, part test"),
        ({"size": 28}, "was trained on drawings of 20 pixels; leave out --image-size 28"),
        ({"split": "nonsense"}, "no split 'nonsense'; there are one, other, apart, background"),
        ({"part": "nonsense"}, "split one has only train and test"),
    ],
)
def test_what_would_mislead_is_refused(data: Path, asked: dict, message: str) -> None:
    path = checkpoint(data, split="one", image_size=20)
    wanted: dict = {"split": None, "part": "test", "size": None} | asked
    with pytest.raises(InputError, match=message):
        part_to_test(path, data, **wanted)


def test_other_checkpoints_are_refused(data: Path) -> None:
    with pytest.raises(InputError, match="was not trained with --task omniglot"):
        part_to_test(checkpoint(data, source_lang="en"), data, None, "test", None)
    path = checkpoint(data, split="theirs", image_size=20)
    with pytest.raises(InputError, match="was trained on the split theirs, which this data lacks"):
        part_to_test(path, data, "one", "test", None)


def test_lakes_characters_must_not_be_those_of_the_training(data: Path) -> None:
    lake_must_be_unseen(checkpoint(data, split=LAKE_SPLIT, image_size=20), data)
    lake_must_be_unseen(None, data)
    with pytest.raises(InputError, match=r"trained on 1 of the 4 .* leave out --lake"):
        lake_must_be_unseen(checkpoint(data, split="one", image_size=20), data)


def test_pixels_have_not_been_trained(data: Path) -> None:
    assert part_to_test(None, data, "one", "test", None)[1].size == 28
    assert part_to_test(None, data, "one", "test", 20)[1].size == 20
