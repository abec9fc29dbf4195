"""Figures are drawn, and show their data."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fairseq_plugins.evaluation.one_shot import Share
from fairseq_plugins.plots import omniglot as omniglot_plots


def drawn(path: Path) -> bool:
    with Image.open(path) as image:
        return min(image.size) > 300 and len(image.convert("L").getcolors()) > 2


def test_bars_and_retention(tmp_path: Path) -> None:
    table = {k: Share(10.0 * k, 1.0, 5) for k in (1, 2, 5)}
    omniglot_plots.bars({"5 classes": table, "15 classes": table}, tmp_path / "deep" / "bars.png")
    omniglot_plots.retention({8: {0: 100.0, 10: 20.0}}, tmp_path / "lifelong.png")
    assert drawn(tmp_path / "deep" / "bars.png") and drawn(tmp_path / "lifelong.png")


def test_an_episode_shows_queries_and_neighbours(tmp_path: Path) -> None:
    images = np.zeros((3, 2, 10, 10), dtype=np.uint8)
    images[:, :, 3:6] = 255
    keys = torch.eye(3).unsqueeze(1).repeat(1, 2, 1)
    omniglot_plots.episode_strip(images, keys, 1, tmp_path / "episode.png")
    assert drawn(tmp_path / "episode.png")
