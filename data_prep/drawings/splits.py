"""The splits of Omniglot's characters into training, development and test parts, by name.

=====================  =====  ===========  ====  ==================================================
name                   train  valid        test
=====================  =====  ===========  ====  ==================================================
background-evaluation  964                 659   the official one, by alphabets; only the training
                                                 characters are rotated
background-validated   some   5 alphabets  659   the same, five alphabets of the background held
                                                 out: to choose a recipe without seeing the test
vinyals                1200                423   random characters, all of them rotated (Vinyals
                                                 et al. 2016, Santoro et al. 2016)
validated              1028   172          423   the same test, with characters for development
=====================  =====  ===========  ====  ==================================================

Where characters are rotated, each rotation by 90, 180 and 270 degrees is a separate class.
"""

import random
from collections.abc import Sequence
from typing import Any

TEST_CHARACTERS = 423
VALID_CHARACTERS = 172
VALID_ALPHABETS = 5
ALL_TURNS = (0, 90, 180, 270)  # degrees, counter-clockwise


def make_splits(background: Sequence[str], evaluation: Sequence[str], seed: int) -> dict[str, Any]:
    """Divide characters into parts, for every named split.

    Args:
        background: ``Alphabet/characterNN`` in the first official archive.
        evaluation: in the second one.
        seed: of the random divisions.

    Returns:
        Name of the split -> ``parts``: name of the part -> characters; ``turns``: name of the
        part -> degrees; ``seed``, or None where nothing is random.
    """
    everything = sorted([*background, *evaluation])
    random.Random(seed).shuffle(everything)
    test = sorted(everything[:TEST_CHARACTERS])
    rest = everything[TEST_CHARACTERS:]
    alphabets = sorted({alphabet(name) for name in background})
    held_out = set(random.Random(seed).sample(alphabets, min(VALID_ALPHABETS, len(alphabets))))
    return {
        "background-evaluation": _split(
            {"train": background, "test": evaluation}, rotated={"train"}, seed=None
        ),
        "background-validated": _split(
            {
                "train": [name for name in background if alphabet(name) not in held_out],
                "valid": [name for name in background if alphabet(name) in held_out],
                "test": evaluation,
            },
            rotated={"train"},
            seed=seed,
        ),
        "vinyals": _split({"train": rest, "test": test}, rotated={"train", "test"}, seed=seed),
        "validated": _split(
            {"train": rest[VALID_CHARACTERS:], "valid": rest[:VALID_CHARACTERS], "test": test},
            rotated={"train", "valid", "test"},
            seed=seed,
        ),
    }


def alphabet(name: str) -> str:
    """Return the alphabet of ``Alphabet/characterNN``."""
    return name.partition("/")[0]


def _split(parts: dict[str, Sequence[str]], rotated: set[str], seed: int | None) -> dict[str, Any]:
    return {
        "parts": {part: sorted(names) for part, names in parts.items()},
        "turns": {part: list(ALL_TURNS if part in rotated else ALL_TURNS[:1]) for part in parts},
        "seed": seed,
    }
