"""Figures of algorithms name what they show."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fairseq_plugins.plots import algorithmic


def test_states_have_a_colour_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = [np.random.default_rng(0).uniform(-1, 1, (3, 4, 2)) for _ in range(4)]
    figures = []
    save = algorithmic.save
    monkeypatch.setattr(
        algorithmic, "save", lambda figure, path: (figures.append(figure), save(figure, path))
    )
    algorithmic.states(states[:3], states[3], ["a", "b", "c"], tmp_path / "states.png")
    *pictures, scale = figures[0].axes
    assert [axes.get_title() for axes in pictures] == ["0", "1", "2", "tape"]
    assert scale.get_ylabel() == "mean of |state| over the maps"
    with Image.open(tmp_path / "states.png") as image:
        assert min(image.size) > 200 and len(image.convert("L").getcolors()) > 2
