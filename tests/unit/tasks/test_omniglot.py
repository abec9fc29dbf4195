"""Drawings of validation are shown as they are."""

import numpy as np
import pytest
import torch

from fairseq_plugins.data.omniglot import OmniglotImages
from fairseq_plugins.tasks import omniglot
from fairseq_plugins.tasks.omniglot import OmniglotConfig, OmniglotTask


@pytest.mark.parametrize(("subset", "distorted"), [("train", True), ("valid", False)])
def test_only_drawings_of_training_are_distorted(
    monkeypatch: pytest.MonkeyPatch, subset: str, distorted: bool
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (4, 20, 8, 8)).astype(np.uint8)
    images = OmniglotImages(pixels, [f"class{n}" for n in range(4)], ["Greek"] * 4)
    monkeypatch.setattr(omniglot, "load_part", lambda *_: images)
    given = {"data": "x", "episodes": "sequences", "ways": 3, "length": 6, "image_size": 8}

    def first(**amounts: float) -> torch.Tensor:
        task = OmniglotTask(OmniglotConfig(**given, **amounts, batch_size=2, seed=1))
        task.load_dataset(subset)
        dataset = task.dataset(subset)
        return dataset.collater([dataset[0]])["net_input"]["images"]

    assert torch.equal(first(), first(shift=3.0, rotation=30.0)) is not distorted
