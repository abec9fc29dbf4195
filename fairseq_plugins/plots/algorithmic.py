"""Figures of how well algorithms were learned, and of a Neural GPU at work."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fairseq_plugins.plots.style import HEIGHT, WIDTH, legend_above, plt, save


def accuracy(
    results: Mapping[str, Mapping[str, tuple[float, float]]], what: str, path: Path
) -> None:
    """Draw bars of correct symbols, in a colour for each model and a group for each bucket.

    Args:
        results: mean and standard deviation, in per cent, by model and bucket.
        what: label of the buckets.
        path: of the PNG file.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, HEIGHT))
    width = 0.8 / len(results)
    for number, (name, buckets) in enumerate(results.items()):
        places = np.arange(len(buckets)) + number * width
        means, spreads = zip(*buckets.values(), strict=True)
        axes.bar(places, means, width, yerr=spreads, label=name)
    names = list(next(iter(results.values())))
    axes.set_xticks(np.arange(len(names)) + 0.4 - width / 2, names)
    axes.set(xlabel=what, ylabel="correct symbols, %", ylim=(0, 100))
    legend_above(axes)
    save(figure, path)


def lengths(
    results: Mapping[str, Mapping[int, tuple[float, float]]], trained: int, path: Path
) -> None:
    """Draw the share of entirely correct sequences against their length.

    Args:
        results: mean and standard deviation, in per cent, by model and length.
        trained: the longest length in training.
        path: of the PNG file.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, HEIGHT))
    for name, by_length in results.items():
        means, spreads = zip(*by_length.values(), strict=True)
        axes.errorbar(list(by_length), means, spreads, marker="o", capsize=3, label=name)
    axes.axvline(trained, color="0.7", linestyle="--", label="longest in training")
    axes.set(xlabel="length, in symbols or bits", ylabel="correct sequences, %", ylim=(-2, 102))
    legend_above(axes)
    save(figure, path)


def states(
    images: Sequence[np.ndarray], tape: np.ndarray | None, labels: Sequence[str], path: Path
) -> None:
    """Draw a Neural GPU's state after every step, and its output tape at the end.

    Args:
        images: the state after each step [n, h, m].
        tape: at the end [n, h, m]; None without one.
        labels: of the n columns.
        path: of the PNG file.
    """
    steps = [*images, *([tape] if tape is not None else [])]
    names = [f"{step}" for step in range(len(images))] + (["tape"] if tape is not None else [])
    columns, n = len(steps), len(images[0])
    figure, grid = plt.subplots(
        1, columns, figsize=(max(4.0, 0.55 * columns + 0.6), 0.28 * n + 1), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axes, step, name in zip(grid[0], steps, names, strict=True):
        strength = np.abs(step).mean(axis=2)  # [n, h], over the maps
        shown = axes.imshow(strength, vmin=0, vmax=1, cmap="viridis", aspect="auto")
        axes.set_title(name, fontsize=7)
        axes.set(xticks=[], yticks=[])
    grid[0, 0].set_yticks(range(n), labels, fontsize=7)
    figure.supxlabel("step (across: rows of the state; down: its columns)", fontsize=8)
    scale = figure.colorbar(shown, ax=grid.ravel().tolist(), aspect=30)
    scale.set_label("mean of |state| over the maps", fontsize=8)
    scale.ax.tick_params(labelsize=7)
    save(figure, path)
