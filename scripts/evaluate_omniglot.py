"""Measure one-shot learning: `python scripts/evaluate_omniglot.py --data omniglot --path best.pt`

N-way K-shot: an episode draws N classes that were never trained on, writes K drawings of each to an
empty memory in one commit, and asks for the classes of 15 other drawings of each. --showings,
--lifelong and --lake ALL_RUNS measure more; --pixels measures nearest neighbours of plain pixels
instead of a network. Of networks that learn within an episode, like mann, only the k-th showing is
measured. Results go to stdout, --json FILE keeps all numbers, --plots DIR draws them.
"""

import argparse
import logging
import re
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from fairseq_plugins.data.episodes import Protocol
from fairseq_plugins.data.omniglot import OmniglotImages
from fairseq_plugins.errors import InputError
from fairseq_plugins.evaluation.lake_runs import read_runs
from fairseq_plugins.evaluation.omniglot_parts import lake_must_be_unseen, part_to_test
from fairseq_plugins.evaluation.one_shot import (
    Embedder,
    Share,
    few_shot,
    lake_runs,
    retention,
    showings,
)
from fairseq_plugins.evaluation.sequences import learns_within_episodes, sequence_showings
from fairseq_plugins.plots import omniglot as omniglot_plots
from fairseq_plugins.program import not_negative, positive, start, write_json

logger = logging.getLogger("evaluate_omniglot")
WRITES = (0, 10, 30, 100, 300, 1000, 3000, 10_000)
MEMORY_SIZES = (1024, 8192)


def protocol(text: str) -> Protocol:
    """Parse ``5x1``: ways and shots."""
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text} is not of the form WAYSxSHOTS, like 5x1")
    return Protocol(int(match[1]), int(match[2]))


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder that data_prep.omniglot made")
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("--path", type=Path, help="checkpoint of omniglot_convnet_memory")
    network.add_argument("--pixels", action="store_true", help="compare plain pixels instead")
    add("--views", type=positive, default=1,
        help="slightly distorted views of each drawing, to be averaged (1)")  # fmt: skip
    add("--split", help="division of the characters (that of the training; else vinyals)")
    add("--part", default="test", help="of the split")
    add("--image-size", type=positive,
        help="of the drawings, in pixels (that of the training; else 28)")  # fmt: skip
    add("--protocols", type=protocol, nargs="*", metavar="NxK",
        default=[Protocol(ways, shots) for ways in (5, 20) for shots in (1, 5)],
        help="ways and shots: 5x1 5x5 20x1 20x5")  # fmt: skip
    add("--episodes", type=positive, default=1000, help="for each protocol")
    add("--showings", type=positive, nargs="*", default=[], metavar="WAYS",
        help="accuracy at the k-th showing of so many classes: 5 15")  # fmt: skip
    add("--showings-episodes", type=positive, default=200, metavar="N",
        help="for --showings (200)")  # fmt: skip
    add("--lifelong", action="store_true", help="what is remembered after up to 10,000 writes")
    add("--lake", type=Path, metavar="ALL_RUNS", help="Lake's 20 runs: their folder or zip file")
    add("--seed", type=not_negative, default=1, help="of the episodes")
    add("--json", type=Path, metavar="FILE", help="write all numbers there, too")
    add("--plots", type=Path, metavar="DIR", help="draw pictures there")
    return parser.parse_args()


def main() -> None:
    """Embed all drawings once, then measure."""
    args = parse()
    start()
    args.split, images = part_to_test(args.path, args.data, args.split, args.part, args.image_size)
    if args.path and learns_within_episodes(args.path):
        _showings_of_sequences(args, images)
        return
    if args.lake:  # before the long work
        lake_must_be_unseen(args.path, args.data)
        runs = read_runs(args.lake, images.size)
    embedder = Embedder(args.path, args.views, args.data)
    logger.info("Embedding %d drawings of %d classes", images.images[:, :, 0, 0].size, len(images))
    keys = embedder(images.images)
    result = _setting(args) | {"views": args.views}
    shares = few_shot(keys, args.protocols, args.episodes, args.seed, embedder.temperature)
    for name, share in shares.items():
        print(f"{name:<14} {share} %")
    result["few_shot"] = {name: asdict(share) for name, share in shares.items()}
    by_ways = {
        ways: showings(keys, ways, args.showings_episodes, args.seed) for ways in args.showings
    }
    for ways, by_showing in by_ways.items():
        print(f"{ways} classes, shown for the k-th time")
        _print_showings(by_showing)
    result["showings"] = {
        ways: {k: asdict(share) for k, share in table.items()} for ways, table in by_ways.items()
    }
    if args.lifelong:
        result["lifelong"] = remembered = retention(keys, MEMORY_SIZES, WRITES, args.seed)
        print("writes since  " + "".join(f"{size:>8,} slots" for size in remembered))
        for count in WRITES:
            row = "".join(f"{by_writes[count]:>14.2f}" for by_writes in remembered.values())
            print(f"{count:>12,}  {row}")
    if args.lake:
        share = lake_runs(
            [
                (embedder(run.training), embedder(run.test), torch.from_numpy(run.labels))
                for run in runs
            ]
        )
        print(f"Lake, {len(runs)} runs {share} %")
        result["lake"] = asdict(share)
    if args.plots:
        _draw(args, images, keys, by_ways, result)
    _keep(args, result)


def _showings_of_sequences(args: argparse.Namespace, images: OmniglotImages) -> None:
    given = {"showings": args.showings, "lifelong": args.lifelong, "lake": args.lake,
             "views": args.views > 1}  # fmt: skip
    if any(given.values()):
        raise InputError(
            f"{args.path}: learns within an episode, and is only asked for the k-th showing in "
            f"episodes like those of its training; leave out "
            + " ".join(f"--{name}" for name, value in given.items() if value)
        )
    by_showing = sequence_showings(args.path, args.data, images, args.episodes, args.seed)
    print("shown for the k-th time")
    _print_showings(by_showing)
    if args.plots:
        omniglot_plots.bars({args.path.parent.name: by_showing}, args.plots / "showings.png")
    shares = {k: asdict(share) for k, share in by_showing.items()}
    _keep(args, _setting(args) | {"showings": shares})


def _setting(args: argparse.Namespace) -> dict:
    path = str(args.path) if args.path else "pixels"
    return {"path": path, "split": args.split, "part": args.part, "seed": args.seed}


def _print_showings(by_showing: dict[int, Share]) -> None:
    for k, share in by_showing.items():
        print(f"  {k:>2}           {share} %")


def _keep(args: argparse.Namespace, result: dict) -> None:
    if args.json:
        write_json(args.json, result)


def _draw(
    args: argparse.Namespace, images: OmniglotImages, keys: Tensor, by_ways: dict, result: dict
) -> None:
    if by_ways:
        named = {f"{ways} classes": table for ways, table in by_ways.items()}
        omniglot_plots.bars(named, args.plots / "showings.png")
    if "lifelong" in result:
        omniglot_plots.retention(result["lifelong"], args.plots / "lifelong.png")
    ways = 5
    rows = torch.randperm(len(images), generator=torch.Generator().manual_seed(args.seed))[:ways]
    omniglot_plots.episode_strip(
        images.images[rows.numpy()], keys[rows], 1, args.plots / "episode.png"
    )
    logger.info("Pictures are in %s", args.plots)


if __name__ == "__main__":
    main()
