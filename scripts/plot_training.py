"""Draw learning curves from logs of fairseq-train.

    python scripts/plot_training.py MANN=mann.log LSTM=lstm.log --metrics showing_2 --out curves.png

Logs may be in --log-format json or simple. Metrics are those of validation: ppl, 20way_1shot, ...
"""

import argparse
from pathlib import Path

from fairseq_plugins.arguments import picture


def named(text: str) -> tuple[str, Path]:
    """Parse ``NAME=LOG``."""
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text} is not of the form NAME=LOG")
    return name, Path(path)


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "logs",
        type=named,
        nargs="+",
        metavar="NAME=LOG",
        help="names of the curves, and their logs",
    )
    add("--metrics", nargs="+", default=["loss"], help="metrics of validation to draw (loss)")
    add(
        "--out",
        type=picture,
        required=True,
        metavar="PICTURE",
        help="picture to write: *.svg, *.png or *.pdf",
    )
    return parser.parse_args()


def main() -> None:
    """Read the logs and draw."""
    args = parse()
    from fairseq_plugins.plots.style import learning_curves
    from fairseq_plugins.program import start

    start()
    learning_curves(dict(args.logs), args.metrics, args.out)


if __name__ == "__main__":
    main()
