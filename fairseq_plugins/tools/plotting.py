"""How all pictures are drawn and saved."""

import logging
from pathlib import Path

# Beside fairseq, whose logging shows everything, matplotlib would tell of its own business.
logging.getLogger("matplotlib").setLevel(logging.WARNING)

import matplotlib  # noqa: E402

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

WIDTH, HEIGHT, DPI = 6.4, 3.8, 150  # inches, inches, dots an inch

__all__ = ["HEIGHT", "WIDTH", "plt", "save"]


def save(figure: plt.Figure, path: Path) -> None:
    """Write a picture, and forget it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    plt.close(figure)
