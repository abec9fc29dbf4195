"""Prepare Omniglot (Lake et al. 2015): 1,623 characters of 50 alphabets, by 20 people each.

    python -m data_prep.omniglot --out omniglot

downloads the two official archives to `omniglot/download/`; `--source DIR` reads existing archives,
or the folders unpacked from them, instead. For each size of the images, it writes

    omniglot_28.npz   images [1623, 20, 28, 28] uint8, ink is 255; alphabets, characters [1623]
                  and drawers [20] are their names
    splits.json       which characters are for training, development and test, by name

No character, and so no drawing, is in two parts of a split.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pooch

from data_prep.core.atomic import write_json
from data_prep.core.download import for_pooch
from data_prep.core.program import (
    DataError,
    HelpFormatter,
    add_out,
    add_source,
    comma_separated,
    run_program,
)
from data_prep.core.ranges import SEEDS
from data_prep.core.stages import Stage, Workspace
from data_prep.drawings.images import (
    ARCHIVES,
    DRAWERS,
    Drawings,
    find_archive,
    input_files,
    read_archive,
)
from data_prep.drawings.splits import make_splits

logger = logging.getLogger(__name__)

URL = "https://github.com/brendenlake/omniglot/raw/master/python/"
SIZES = "28,20"  # the size in most papers, and that in Santoro et al. 2016
MAX_SIZE = 105


def fetch(folder: Path, url: str = URL) -> None:
    """Download the official archives, each once, and verify them.

    Args:
        folder: Destination of the archives.
        url: Location of the archives.

    Raises:
        DataError: If one cannot be downloaded, or differs from the published one.
    """
    pooch.get_logger().setLevel(logging.WARNING)  # its advice on checksums is for programmers
    for archive in ARCHIVES:
        name = f"{archive.name}.zip"
        if not (folder / name).exists():
            logger.info("fetching %s", url + name)
        try:
            pooch.retrieve(url + name, f"md5:{archive.md5}", name, folder, downloader=for_pooch)
        except ValueError as error:
            raise DataError(
                f"{url}{name}: not the official archive, whose MD5 is {archive.md5}; try again, "
                "or fetch it elsewhere and name its folder with --source"
            ) from error


def write_images(path: Path, halves: Sequence[Drawings]) -> None:
    """Write the drawings of both archives to one file that numpy reads without pickle."""
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            images=np.concatenate([half.images for half in halves]),
            alphabets=np.array([name for half in halves for name in half.alphabets]),
            characters=np.array([name for half in halves for name in half.characters]),
            drawers=np.arange(1, DRAWERS + 1),
        )


def make_images(sources: Sequence[Path], size: int, scratch: Path) -> None:
    """Write `omniglot_SIZE.npz` to a folder."""
    halves = [
        read_archive(path, archive, size) for path, archive in zip(sources, ARCHIVES, strict=True)
    ]
    write_images(scratch / f"omniglot_{size}.npz", halves)


def make_split_file(images: Path, seed: int, scratch: Path) -> None:
    """Write `splits.json` to a folder, from the names in an `omniglot_SIZE.npz`."""
    with np.load(images) as file:
        pairs = zip(file["alphabets"], file["characters"], strict=True)
        names = [f"{alphabet}/{character}" for alphabet, character in pairs]
    background = ARCHIVES[0].characters
    splits = make_splits(names[:background], names[background:], seed)
    write_json(scratch / "splits.json", splits)


def image_size(text: str) -> int:
    """Parse a size in pixels.

    Raises:
        DataError: If it is not a number, or larger than the drawings.
    """
    if not text.isdecimal() or not 1 <= int(text) <= MAX_SIZE:
        raise DataError(f"--sizes: {text} is not a number of pixels from 1 to {MAX_SIZE}")
    return int(text)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    add_out(parser)
    add_source(parser, "archives")
    parser.add_argument(
        "--sizes",
        type=comma_separated,
        default=SIZES,
        help="sizes of the images to make, in pixels",
    )
    parser.add_argument("--seed", type=SEEDS, default=1, help="seed of the random splits")
    parser.add_argument("--url", default=URL, help="address to download from")
    return parser.parse_args(arguments)


def main(arguments: argparse.Namespace) -> None:
    """Prepare Omniglot."""
    sizes = [image_size(text) for text in arguments.sizes]
    source = arguments.source
    if source is None:
        source = arguments.out / "download"
        fetch(source, arguments.url)
    sources = [find_archive(source, archive) for archive in ARCHIVES]
    inputs = [file for path in sources for file in input_files(path)]
    with Workspace(arguments.out) as workspace:
        for size in sizes:
            name = f"omniglot_{size}.npz"
            workspace.run(
                Stage(
                    f"images {size}x{size}", {"size": size}, inputs, [name],
                    partial(make_images, sources, size),
                )
            )  # fmt: skip
        images = arguments.out / f"omniglot_{sizes[0]}.npz"
        workspace.run(
            Stage(
                "splits", {"seed": arguments.seed}, [images], ["splits.json"],
                lambda scratch: make_split_file(images, arguments.seed, scratch),
            )
        )  # fmt: skip
    logger.info("%s holds images of %s pixels", arguments.out, " and ".join(map(str, sizes)))


if __name__ == "__main__":
    sys.exit(run_program(main, parse_arguments()))
