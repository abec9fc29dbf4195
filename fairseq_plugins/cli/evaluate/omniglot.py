"""Evaluate one-shot learning of drawings.

    fairseq-memory evaluate omniglot --data omniglot --path checkpoint_best.pt --showings 5

N-way K-shot: an episode draws N classes that were not trained on, writes K drawings of each to an
empty memory in one commit, and asks for the classes of 15 other drawings of each. --showings,
--lifelong and --lake measure more. --pixels evaluates nearest neighbours of plain pixels instead of
a network. For networks that learn within an episode, like mann, only the k-th showing is measured.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from fairseq_plugins.arguments import collected, positive, seed

RULES = ("nearest", "vote")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder created by data_prep.omniglot")
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("--path", type=Path, help="checkpoint of omniglot_convnet_memory")
    network.add_argument(
        "--pixels", action="store_true", help="compare plain pixels instead of using a network"
    )
    add("--views", type=positive, default=1,
        help="number of slightly distorted views of each drawing to average")  # fmt: skip
    add("--split", help="split of the characters (default: that of the training, or vinyals)")
    add("--part", default="test", help="part of the split")
    add("--image-size", type=positive,
        help="width of the drawings in pixels (default: that of the training, or 28)")  # fmt: skip
    add("--protocols", type=protocol, nargs="*", metavar="NxK",
        help="ways and shots of the protocols (default: 5x1 5x5 20x1 20x5)")  # fmt: skip
    add("--rule", choices=RULES, default="vote",
        help="how the memory names a class: by the slot nearest to a drawing, or by the votes of "
        "all slots, weighted by their similarity")  # fmt: skip
    add("--episodes", type=positive, default=1000, help="number of episodes for each protocol")
    add("--showings", type=positive, nargs="*", default=[], metavar="WAYS",
        help="measure accuracy at the k-th showing with so many classes: 5 15")  # fmt: skip
    add("--showings-episodes", type=positive, default=200, metavar="N", help="for --showings")
    add("--lifelong", action="store_true", help="measure memory after up to 10,000 writes")
    add("--lake", type=Path, metavar="ALL_RUNS", help="folder or zip file of Lake's 20 runs")
    add("--seed", type=seed, default=1, help="seed of the episodes")
    add("--plots", type=Path, metavar="DIR", help="folder for pictures")


def protocol(text: str) -> tuple[int, int]:
    """Parse ``5x1``, a number of ways and of shots."""
    ways, times, shots = text.partition("x")
    if not (times and ways.isdecimal() and shots.isdecimal() and int(ways) and int(shots)):
        raise argparse.ArgumentTypeError(f"{text} is not of the form WAYSxSHOTS, like 5x1")
    return int(ways), int(shots)


def run(args: argparse.Namespace) -> tuple[str, object]:
    """Embed the drawings, measure, and draw."""
    from fairseq_plugins.data.episodes import Protocol
    from fairseq_plugins.evaluation.omniglot import PROTOCOLS, Drawings, Measures, evaluate
    from fairseq_plugins.plots.omniglot import draw

    given = args.protocols
    chosen = PROTOCOLS if given is None else [Protocol(*pair) for pair in given]
    protocols = [replace(protocol, rule=args.rule) for protocol in chosen]
    drawings = Drawings(args.data, args.split, args.part, args.image_size)
    measures = replace(collected(args, Measures), protocols=protocols)
    report = evaluate(args.path, drawings, measures)
    if args.plots:
        draw(report, args.plots)
    return str(report), report.as_json()
