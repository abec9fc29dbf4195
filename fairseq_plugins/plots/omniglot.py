"""Figures of one-shot learning."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fairseq_plugins.evaluation.omniglot import OmniglotReport
from fairseq_plugins.evaluation.one_shot import Share
from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.plots.style import HEIGHT, WIDTH, legend_above, plt, save

logger = logging.getLogger(__name__)

NEIGHBORS = 4  # drawings shown beside each query
STRIP_WAYS = 5  # classes of the episode shown


def draw(report: OmniglotReport, folder: Path) -> None:
    """Draw everything that was measured of a network.

    Args:
        report: of its evaluation.
        folder: for ``showings.png``, ``lifelong.png`` and ``episode.png``, as far as there is
            data for them.
    """
    if report.showings:
        name = Path(str(report.setting["path"])).parent.name
        named = {
            name if ways is None else f"{ways} classes": by_showing
            for ways, by_showing in report.showings.items()
        }
        bars(named, folder / "showings.png")
    if report.lifelong:
        retention(report.lifelong, folder / "lifelong.png")
    if report.keys is not None:
        seed = int(str(report.setting["seed"]))
        order = torch.randperm(len(report.images), generator=torch.Generator().manual_seed(seed))
        rows = order[:STRIP_WAYS]
        images = report.images.images[rows.numpy()]
        episode_strip(images, report.keys[rows], 1, folder / "episode.png")
    logger.info("Figures are in %s", folder)


def bars(results: Mapping[str, Mapping[int, Share]], path: Path) -> None:
    """Draw accuracy at the k-th showing of a class, a group of bars for each k."""
    figure, axes = plt.subplots(figsize=(WIDTH, HEIGHT))
    width = 0.8 / len(results)
    for number, (name, shares) in enumerate(results.items()):
        places = np.arange(len(shares)) + number * width
        axes.bar(
            places, [share.mean for share in shares.values()], width, label=name,
            yerr=[share.interval for share in shares.values()],
        )  # fmt: skip
    ks = list(next(iter(results.values())))
    axes.set_xticks(np.arange(len(ks)) + 0.4 - width / 2, [str(k) for k in ks])
    axes.set(xlabel="k-th showing of a class", ylabel="correct, %", ylim=(0, 100))
    legend_above(axes)
    save(figure, path)


def retention(results: Mapping[int, Mapping[int, float]], path: Path) -> None:
    """Draw accuracy on classes shown once, against the drawings written since."""
    figure, axes = plt.subplots(figsize=(WIDTH, HEIGHT))
    for size, by_writes in results.items():
        axes.plot(list(by_writes), list(by_writes.values()), marker="o", label=f"{size:,} slots")
    axes.set_xscale("symlog", linthresh=10)
    axes.set(xlabel="drawings of other classes written since", ylabel="correct, %")
    axes.set_ylim(0, 100)
    legend_above(axes)
    save(figure, path)


def episode_strip(images: np.ndarray, keys: Tensor, shown: int, path: Path) -> None:
    """Draw each query beside the drawings that the memory found nearest to it.

    Args:
        images: [ways, drawings, size, size] uint8 of an episode.
        keys: [ways, drawings, D], their embeddings.
        shown: number of drawings of each class that are written; the next one is the query.
        path: of the PNG file.
    """
    ways = len(images)
    memory = KeyValueMemory(ways * shown, keys.shape[-1], ways * shown)
    values = np.arange(ways * shown)  # a value for each drawing, to know which was found
    memory.write(keys[:, :shown].flatten(0, 1), torch.from_numpy(values))
    hits = memory.query(keys[:, shown])
    columns = min(NEIGHBORS, ways * shown)
    figure, grid = plt.subplots(ways, 1 + columns, figsize=(1 + columns, ways), squeeze=False)
    for way in range(ways):
        _drawing(grid[way, 0], images[way, shown], "query" if way == 0 else "", "black")
        for column in range(columns):
            found, example = divmod(int(hits.values[way, column]), shown)
            color = "tab:green" if found == way else "tab:red"
            title = f"{float(hits.similarities[way, column]):.2f}"
            _drawing(grid[way, 1 + column], images[found, example], title, color)
    save(figure, path)


def _drawing(axes: plt.Axes, image: np.ndarray, title: str, color: str) -> None:
    axes.imshow(255 - image, cmap="gray", vmin=0, vmax=255)
    axes.set_title(title, fontsize=8, color=color)
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set_color(color)
        side.set_linewidth(1.5)
