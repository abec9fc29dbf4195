"""Draw the model in the README: the translator and its memory.

    python scripts/draw_model.py
    python scripts/draw_model.py --output model.png

Coordinates are tenths of an inch from the lower left corner.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from fairseq_plugins.arguments import picture
from fairseq_plugins.atomic import replacing
from fairseq_plugins.errors import one_line_errors

DEFAULT = Path(__file__).resolve().parents[1] / "docs" / "images" / "model.svg"
WIDTH, HEIGHT = 128, 82

INK, LINE, FAINT = "#22303c", "#51606d", "#8995a0"
SOURCE = ("#dcebf9", "#4a86c5")  # fill and edge of each part of the model
TARGET = ("#dff2e1", "#4f9d5d")
MEMORY = ("#fdebd3", "#d58a2b")
LEARN = ("#fbe3e4", "#c5484f")
PLAIN = ("white", FAINT)

# Rows of the memory: value, age, similarity to the query (0: not among the k nearest).
ROWS = (
    ("sagte", 12, 0),
    ("Bäcker", 3, 1),
    ("Fluss", 40, 0),
    ("Müller", 7, 2),
    ("alte", 1, 0),
    ("Bäcker", 25, 3),
    ("", 0, 0),
)
# The combined answer of the nearest.
ANSWER = (("Bäcker", 0.85), ("Müller", 0.15))


class Canvas:
    """Boxes, arrows and text on one page."""

    def __init__(self) -> None:
        mpl.rcParams.update({"font.family": "DejaVu Sans", "svg.hashsalt": "model"})
        self.figure = plt.figure(figsize=(WIDTH / 10, HEIGHT / 10), facecolor="white")
        self.axes: Axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
        self.axes.axis("off")

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        text: str = "",
        colors: tuple[str, str] = PLAIN,
        size: float = 10,
    ) -> None:
        """Draw a box with its lower left corner at (x, y)."""
        self.axes.add_patch(
            FancyBboxPatch(
                (x, y), width, height, boxstyle="round,pad=0,rounding_size=0.9", lw=1.3,
                fc=colors[0], ec=colors[1], zorder=2,
            )
        )  # fmt: skip
        self.text(x + width / 2, y + height / 2, text, size)

    def text(
        self, x: float, y: float, text: str, size: float = 10, color: str = INK,
        at: str = "center", **style: str,
    ) -> None:  # fmt: skip
        """Write text at (x, y)."""
        self.axes.text(
            x, y, text, ha=at, va="center_baseline", size=size, color=color, zorder=5,
            linespacing=1.3, **style,
        )  # fmt: skip

    def panel(
        self, x: float, y: float, width: float, height: float, title: str, color: str
    ) -> None:
        """Draw the background of a part of the model, with its name."""
        self.axes.add_patch(
            FancyBboxPatch(
                (x, y), width, height, boxstyle="round,pad=0,rounding_size=1.5", lw=0.8,
                fc="#fafbfc", ec="#dfe4e8", zorder=0,
            )
        )  # fmt: skip
        self.text(x + 2, y + height - 2.8, title, 12.5, color, "left", weight="bold")

    def plus(self, x: float, y: float) -> None:
        """Draw a plus sign for a sum."""
        self.axes.plot(x, y, "o", ms=13, mfc="white", mec=LINE, mew=1.2, zorder=4)
        self.text(x, y, "+", 11)

    def arrow(self, *points: tuple[float, float], color: str = LINE, dashed: bool = False) -> None:
        """Draw a line through points, with a head at the last one."""
        if len(points) > 2:
            xs, ys = zip(*points[:-1], strict=True)
            style = (0, (4, 2.5)) if dashed else "-"
            self.axes.plot(xs, ys, color=color, lw=1.5, ls=style, zorder=3, solid_joinstyle="round")
        self.axes.add_patch(
            FancyArrowPatch(
                points[-2], points[-1], arrowstyle="-|>", mutation_scale=13, lw=1.5, color=color,
                shrinkA=0, shrinkB=0, zorder=3, ls=(0, (4, 2.5)) if dashed else "-",
            )
        )  # fmt: skip

    def words(self, x: float, y: float, width: float, words: tuple[str, ...], color: str) -> None:
        """Draw tokens side by side."""
        each = width / len(words)
        for i, word in enumerate(words):
            self.box(x + i * each + 0.4, y, each - 0.8, 4, word, ("white", color), 9.5)

    def save(self, path: Path) -> None:
        """Write the picture, completely and always the same."""
        metadata = {"Date": None} if path.suffix == ".svg" else None
        with replacing(path) as unfinished:
            self.figure.savefig(unfinished, dpi=110, metadata=metadata, format=path.suffix[1:])
        plt.close(self.figure)


def draw_encoder(page: Canvas) -> None:
    """Draw the encoder on the left: words, a bidirectional layer, further layers, states."""
    x, width, middle = 6, 25, 18.5
    page.panel(1, 1, 33, 69, "Encoder", SOURCE[1])
    page.words(x, 3, width, ("the", "old", "baker"), SOURCE[1])
    page.arrow((middle, 7), (middle, 11))
    page.box(x, 11, width, 4.5, "embedding", SOURCE)
    page.arrow((middle, 15.5), (middle, 21.5))
    page.box(x, 21.5, width, 9, "", SOURCE)
    page.text(middle, 27.9, "LSTM  $\\longrightarrow$")
    page.text(middle, 24.1, "LSTM  $\\longleftarrow$")
    page.arrow((middle, 30.5), (middle, 35))
    page.box(x, 35, width, 7, "more LSTM layers\n(residual from the third on)", SOURCE, 9)
    page.arrow((middle, 42), (middle, 47.2))
    # Every state includes its word.
    page.arrow((middle, 18.2), (3.2, 18.2), (3.2, 48.5), (middle - 1.3, 48.5))
    page.text(3.9, 46.6, "its word", 8.5, LINE, "left")
    page.plus(middle, 48.5)
    page.arrow((middle, 49.8), (middle, 54.5))
    page.words(x, 54.5, width, ("$h_1$", "$h_2$", "$h_3$"), SOURCE[1])
    page.text(middle, 60.5, "encoder states", 9, LINE)


def draw_decoder(page: Canvas) -> None:
    """Draw the decoder, whose first layer queries the attention for all layers above."""
    x, width, middle = 41, 22, 52
    page.panel(36, 1, 32, 69, "Decoder", TARGET[1])
    page.words(x, 3, width, ("<s>", "der", "alte"), TARGET[1])
    page.arrow((middle, 7), (middle, 11))
    page.box(x, 11, width, 4.5, "embedding", TARGET)
    page.arrow((middle, 15.5), (middle, 19))
    page.box(x, 19, width, 4.5, "first LSTM layer", TARGET)
    page.arrow((middle, 23.5), (middle, 28))
    page.text(middle - 1, 25.8, "asks", 9, LINE, "right")
    page.box(x, 28, width, 4.5, "attention", TARGET)
    page.arrow((31, 56.5), (34.9, 56.5), (34.9, 30.25), (x, 30.25))
    page.arrow((middle, 32.5), (middle, 38))
    page.text(middle + 1, 36, "context $a_t$", 9, LINE, "left")
    page.box(x, 38, width, 7, "more LSTM layers\n(residual from the third on)", TARGET, 9)
    page.arrow((middle, 25.4), (65.6, 25.4), (65.6, 41.5), (x + width, 41.5))
    page.arrow((middle, 45), (middle, 49.5))
    page.box(x, 49.5, width, 4.5, "tanh layer", TARGET)
    page.arrow((middle, 33.8), (38.3, 33.8), (38.3, 51.75), (x, 51.75))
    page.arrow((middle, 54), (middle, 60.5))
    page.text(middle - 1, 57.2, "state $s_t$", 9, LINE, "right")
    page.box(x, 60.5, width, 4.5, "softmax layer", TARGET)
    page.arrow((middle, 65), (middle, 74))
    mixture = "$p(y) = (1 - g)\\;p_{softmax}(y) + g\\;p_{memory}(y)$"
    page.box(41, 74, 83, 5, f"next word:    {mixture}", size=11)


def draw_memory(page: Canvas) -> None:
    """Draw the memory on the right: the query, the table, the nearest neighbours, the gate."""
    left, width, top = 74.5, 26, 58
    page.panel(70, 18, 57, 52, "Memory", MEMORY[1])
    page.arrow((52, top), (88, top), (88, 55.6))
    page.arrow((52, top), (106, top))
    page.box(left, 51, width, 4.6, "query $q_t = W s_t\\,/\\,|W s_t|$", MEMORY)
    page.arrow((88, 51), (88, 47.4))
    page.text(89, 49.4, "compare with all keys", 9, LINE, "left")
    draw_table(page, left, 20, width)

    # The answer, and how far it is trusted.
    right, wide = 106, 19
    page.box(right, 30, wide, 14, "", MEMORY)
    page.text(right + wide / 2, 41.5, "$k$ nearest say", 9.5)
    for i, (word, weight) in enumerate(ANSWER):
        y = 36.8 - 4.2 * i
        page.text(right + 7.8, y + 0.9, word, 9, INK, "right")
        page.axes.add_patch(Rectangle((right + 8.8, y), 9 * weight, 1.7, fc=MEMORY[1], zorder=4))
    page.arrow((right + 5, 44), (right + 5, top - 2.3))
    page.text(right + 4.2, 50.2, "how near,\nhow sure", 8.5, LINE, "right")
    page.box(right, top - 2.3, 10, 4.6, "gate $g$", MEMORY)
    page.arrow((right + 5, top + 2.3), (right + 5, 74))
    page.arrow((right + 15, 44), (right + 15, 74))
    page.text(right + 14.2, 65.5, "$p_{memory}$", 9.5, LINE, "right")


def draw_table(page: Canvas, left: float, bottom: float, width: float) -> None:
    """Draw keys, values and ages of the slots."""
    height = 3.4
    top = bottom + height * len(ROWS)
    columns = {"key": left + 6.5, "value": left + 17, "age": left + 24}
    page.box(left - 0.6, bottom - 0.8, width + 1.2, top - bottom + 4.6, "", ("white", MEMORY[1]))
    for name, x in columns.items():
        page.text(x, top + 1.7, name, 9.5, MEMORY[1], weight="bold")
    for i, (value, age, rank) in enumerate(ROWS):
        y = top - height * (i + 1)
        if rank:
            page.axes.add_patch(
                Rectangle((left, y + 0.2), width, height - 0.4, fc=MEMORY[0], lw=0, zorder=3)
            )
            page.arrow((left + width, y + height / 2), (106, 38.6 - 1.8 * rank), color=MEMORY[1])
        for j in range(6):
            # Any shades will do, as long as similar keys look alike.
            shade = 0.9 - 0.6 * ((((1 if rank else 3 * i + 2) * (j + 2) * 7) % 11) / 11)
            color = str(shade) if value else "white"
            page.axes.add_patch(
                Rectangle((left + 1 + 1.85 * j, y + 0.8), 1.7, height - 1.6, fc=color,
                          ec=FAINT, lw=0.5, zorder=4)
            )  # fmt: skip
        page.text(
            columns["value"], y + height / 2, value or "(empty)", 9.5, INK if value else FAINT
        )
        page.text(columns["age"], y + height / 2, str(age) if value else "", 9.5)


def draw_learning(page: Canvas) -> None:
    """Draw, below the memory, what happens once the correct word is known."""
    red, y = LEARN[1], 4.5
    page.panel(70, 1, 57, 15, "", red)
    page.text(98.5, 13.4, "while training, or when taught", 10, red, weight="bold")
    page.box(72.5, y, 16, 6.4, "margin loss\ntrains the query", LEARN, 9)
    page.box(92.5, y, 12, 6.4, "right word\n$y_t$ = Bäcker", LEARN, 9)
    page.box(108.5, y, 16, 6.4, "stage $(q_t, y_t)$,\nthen commit", LEARN, 9)
    page.arrow((92.5, y + 3.2), (88.5, y + 3.2), color=red, dashed=True)
    page.arrow((104.5, y + 3.2), (108.5, y + 3.2), color=red, dashed=True)
    page.arrow((72.5, y + 3.2), (71.6, y + 3.2), (71.6, 53.3), (74.5, 53.3),
               color=red, dashed=True)  # fmt: skip
    page.arrow((116.5, y + 6.4), (116.5, 22.2), (101.5, 22.2), color=red, dashed=True)
    page.text(115.8, 26.6, "nearest is right: refine its key\nelse: a new slot", 8.5, red)


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=picture, default=DEFAULT, help="*.svg, *.png or *.pdf")
    output = parser.parse_args().output
    one_line_errors()
    page = Canvas()
    for draw in (draw_encoder, draw_decoder, draw_memory, draw_learning):
        draw(page)
    page.save(output)


if __name__ == "__main__":
    main()
