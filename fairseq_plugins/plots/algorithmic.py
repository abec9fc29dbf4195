"""Pictures of what was learned of an algorithm, and of a Neural GPU at work."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fairseq_plugins.plots.style import HEIGHT, WIDTH, legend_above, plt, save


def accuracy(
    results: Mapping[str, Mapping[str, tuple[float, float]]], what: str, path: Path
) -> None:
    """Bars of right answers in per cent, for each model a colour and for each bucket a group.

    Args:
        results: mean and standard deviation by model and bucket.
        what: the buckets are.
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
    axes.set(xlabel=what, ylabel="right, %", ylim=(0, 100))
    legend_above(axes)
    save(figure, path)


def lengths(
    results: Mapping[str, Mapping[int, tuple[float, float]]], trained: int, path: Path
) -> None:
    """Sequences that are right from beginning to end, against their length.

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
    axes.set(xlabel="length", ylabel="sequences right, %", ylim=(-2, 102))
    legend_above(axes)
    save(figure, path)


def states(
    images: Sequence[np.ndarray], tape: np.ndarray | None, labels: Sequence[str], path: Path
) -> None:
    """A Neural GPU's state after every step, and its output tape at the end.

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
        1, columns, figsize=(max(4.0, 0.55 * columns), 0.28 * n + 1), squeeze=False
    )
    for axes, step, name in zip(grid[0], steps, names, strict=True):
        strength = np.abs(step).mean(axis=2)  # [n, h], over the maps
        axes.imshow(strength, vmin=0, vmax=1, cmap="viridis", aspect="auto")
        axes.set_title(name, fontsize=7)
        axes.set(xticks=[], yticks=[])
    grid[0, 0].set_yticks(range(n), labels, fontsize=7)
    figure.supxlabel("step; each picture is n columns by h rows, bright where |state| is large",
                     fontsize=8)  # fmt: skip
    save(figure, path)
