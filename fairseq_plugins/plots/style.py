"""How all pictures are drawn and saved, and learning curves, which every training has."""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from fairseq_plugins.atomic import replacing
from fairseq_plugins.errors import InputError

# Beside fairseq, whose logging shows everything, matplotlib would tell of its own business.
logging.getLogger("matplotlib").setLevel(logging.WARNING)

import matplotlib  # noqa: E402

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

WIDTH, HEIGHT, DPI = 6.4, 3.8, 150  # inches, inches, dots an inch

__all__ = ["HEIGHT", "WIDTH", "learning_curves", "legend_above", "plt", "save", "validation"]
LEGEND_LETTERS, MARK = 70, 8  # that fit into a row; what a colour takes of them
JSON_LINE = re.compile(r"\{.*\"valid_num_updates\".*\}")
SIMPLE_LINE = re.compile(r"valid on 'valid' subset \| (.*)")


def save(figure: plt.Figure, path: Path) -> None:
    """Write a picture, whole or not at all, and forget it."""
    figure.tight_layout()
    with replacing(path) as unfinished:
        figure.savefig(unfinished, dpi=DPI, format=path.suffix[1:] or None)
    plt.close(figure)


def legend_above(axes: plt.Axes) -> None:
    """What the colours mean, where it hides no data."""
    names = axes.get_legend_handles_labels()[1]
    ncols = max(1, min(len(names), LEGEND_LETTERS // (max(map(len, names), default=0) + MARK)))
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=ncols)


def validation(log: Path, metric: str) -> list[tuple[int, float]]:
    """What validation found in the course of a training.

    Args:
        log: what fairseq-train wrote, with ``--log-format json`` or ``simple``; of a training that
            was stopped and went on, both parts in one file.
        metric: as it is called in the log, for instance ``ppl``.

    Returns:
        Updates and the metric's value, at every validation; the last one, if it was done again.

    Raises:
        InputError: if there is none.
    """
    points: dict[int, float] = {}
    for line in log.read_text("utf-8", errors="replace").splitlines():
        found: dict[str, str] = {}
        if match := JSON_LINE.search(line):
            values = json.loads(match[0]).items()
            found = {name.removeprefix("valid_"): value for name, value in values}
        elif match := SIMPLE_LINE.search(line):
            words = (part.split() for part in match[1].split(" | "))
            found = {pair[0]: pair[1] for pair in words if len(pair) == 2}
        if metric in found:
            points[int(found["num_updates"])] = float(found[metric])
    if not points:
        raise InputError(
            f"{log}: holds no validation that tells {metric}; give the log of a fairseq-train "
            "with --log-format json or simple, and a metric that it shows"
        )
    return sorted(points.items())


def learning_curves(logs: Mapping[str, Path], metrics: Sequence[str], path: Path) -> None:
    """Draw what validation found in the course of trainings.

    Args:
        logs: by the name of the training.
        metrics: to be drawn, a line each.
        path: of the PNG file.

    Raises:
        InputError: if a log does not tell a metric.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, HEIGHT))
    for name, log in logs.items():
        for metric in metrics:
            axes.plot(*zip(*validation(log, metric), strict=True), label=f"{name}, {metric}")
    axes.set(xlabel="updates", ylabel="in validation")
    legend_above(axes)
    save(figure, path)
