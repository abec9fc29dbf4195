"""The style of all figures, and learning curves, which every training has."""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from fairseq_plugins.atomic import replacing
from fairseq_plugins.errors import InputError

# fairseq's logging shows everything, so matplotlib would log its internals.
logging.getLogger("matplotlib").setLevel(logging.WARNING)

import matplotlib  # noqa: E402

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

WIDTH, HEIGHT, DPI = 6.4, 3.8, 150  # inches, inches, dots per inch

__all__ = ["HEIGHT", "WIDTH", "learning_curves", "legend_above", "plt", "save", "validation"]
LEGEND_LETTERS, MARK = 70, 8  # letters in a row of the legend, and the width of a colour mark
AXES = {  # metrics of validation, and what they measure
    r"ppl": "perplexity",
    r"nll_loss": "negative log-likelihood, bits per token",
    r"showing_\d+|\d+way_\d+shot": "correct, %",
    r"symbols_right": "correct symbols, %",
    r"sequences_right": "correct sequences, %",
}
JSON_LINE = re.compile(r"\{.*\"valid_num_updates\".*\}")
SIMPLE_LINE = re.compile(r"valid on 'valid' subset \| (.*)")


def save(figure: plt.Figure, path: Path) -> None:
    """Write a figure, completely or not at all, and close it."""
    if figure.get_layout_engine() is None:
        figure.tight_layout()
    with replacing(path) as unfinished:
        figure.savefig(unfinished, dpi=DPI, format=path.suffix[1:] or None)
    plt.close(figure)


def legend_above(axes: plt.Axes) -> None:
    """Draw a legend where it hides no data."""
    names = axes.get_legend_handles_labels()[1]
    ncols = max(1, min(len(names), LEGEND_LETTERS // (max(map(len, names), default=0) + MARK)))
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=ncols)


def validation(log: Path, metric: str) -> list[tuple[int, float]]:
    """Read the results of validation from the log of a training.

    Args:
        log: written by fairseq-train with ``--log-format json`` or ``simple``. If a training was
            resumed, the file contains both parts.
        metric: its name in the log, for instance ``ppl``.

    Returns:
        Updates and the metric's value, for every validation; the last one if it was repeated.

    Raises:
        InputError: if the log has no such value.
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
            f"{log}: has no validation with {metric}; give a log that fairseq-train wrote with "
            "--log-format json or simple, and a metric that it contains"
        )
    return sorted(points.items())


def learning_curves(logs: Mapping[str, Path], metrics: Sequence[str], path: Path) -> None:
    """Draw the results of validation in the course of trainings.

    Args:
        logs: by the name of the training.
        metrics: to draw, a curve for each.
        path: of the PNG file.

    Raises:
        InputError: if a log lacks a metric.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, HEIGHT))
    for name, log in logs.items():
        for metric in metrics:
            axes.plot(*zip(*validation(log, metric), strict=True), label=f"{name}, {metric}")
    axes.set(xlabel="updates", ylabel=_axis(metrics))
    legend_above(axes)
    save(figure, path)


def _axis(metrics: Sequence[str]) -> str:
    """Return what metrics of validation measure, and their units."""
    named = [
        next((name for pattern, name in AXES.items() if re.fullmatch(pattern, metric)), metric)
        for metric in metrics
    ]
    return f"validation: {' / '.join(dict.fromkeys(named))}"
