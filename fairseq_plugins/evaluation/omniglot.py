"""Everything that is measured of a network that recognises classes of drawings.

Embeds all drawings once, then measures: N-way K-shot, the k-th showing, what is remembered after
many writes, and Lake's runs. For networks that learn within an episode, only the k-th showing is
measured.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from fairseq_plugins.data.episodes import Protocol
from fairseq_plugins.data.omniglot import OmniglotImages
from fairseq_plugins.errors import InputError
from fairseq_plugins.evaluation.lake_runs import Run, read_runs
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
from fairseq_plugins.modules.one_shot import NEAREST, VOTE

logger = logging.getLogger(__name__)

WRITES = (0, 10, 30, 100, 300, 1000, 3000, 10_000)
MEMORY_SIZES = (1024, 8192)
HEADINGS = {  # of N-way K-shot tables, by rule
    NEAREST: "the nearest slot names the class",
    VOTE: "all slots vote, weighted by their similarity",
}
PROTOCOLS = tuple(Protocol(ways, shots) for ways in (5, 20) for shots in (1, 5))


@dataclass(frozen=True)
class Drawings:
    """The drawings to test a network with.

    Attributes:
        data: folder created by data_prep.omniglot.
        split: of the characters; None for that of the training, or vinyals.
        part: of the split.
        image_size: in pixels; None for that of the training, or 28.
    """

    data: Path
    split: str | None = None
    part: str = "test"
    image_size: int | None = None


@dataclass(frozen=True)
class Measures:
    """What to measure.

    Attributes:
        protocols: ways, shots and the rule, which is the same for all.
        episodes: number for each protocol.
        showings: numbers of classes for which to measure accuracy at the k-th showing.
        showings_episodes: number for ``showings``.
        lifelong: whether to measure what is remembered after up to 10,000 writes.
        lake: folder or zip file of Lake's 20 runs; None to leave them out.
        views: number of slightly distorted views of each drawing to average.
        seed: of the episodes.
    """

    protocols: Sequence[Protocol] = PROTOCOLS
    episodes: int = 1000
    showings: Sequence[int] = ()
    showings_episodes: int = 200
    lifelong: bool = False
    lake: Path | None = None
    views: int = 1
    seed: int = 1


@dataclass(frozen=True)
class OmniglotReport:
    """The measurements; empty or None for what was not measured.

    Attributes:
        setting: the network and the drawings.
        few_shot: by protocol.
        showings: by heading, then by k; the k-th showing.
        lifelong: correct answers in per cent, by slots, then by writes since.
        lake: of its runs.
        images: the drawings.
        keys: their embeddings [classes, drawings, D]; None for networks without any.
    """

    setting: Mapping[str, object]
    images: OmniglotImages
    keys: Tensor | None = None
    few_shot: Mapping[str, Share] = field(default_factory=dict)
    showings: Mapping[int | None, Mapping[int, Share]] = field(default_factory=dict)
    lifelong: Mapping[int, Mapping[int, float]] = field(default_factory=dict)
    lake: Share | None = None

    def __str__(self) -> str:
        """Return all measurements for people."""
        lines = [HEADINGS[str(self.setting["rule"])]] if self.few_shot else []
        lines += [f"{name:<14} {share} %" for name, share in self.few_shot.items()]
        for ways, by_showing in self.showings.items():
            classes = "" if ways is None else f"{ways} classes, "
            lines.append(f"{classes}shown for the k-th time")
            lines += [f"  {k:>2}           {share} %" for k, share in by_showing.items()]
        if self.lifelong:
            heads = "".join(f"{size:>8,} slots" for size in self.lifelong)
            lines.append(f"writes since  {heads}")
            for count in WRITES:
                row = "".join(f"{own[count]:>14.2f}" for own in self.lifelong.values())
                lines.append(f"{count:>12,}  {row}")
        if self.lake:
            lines.append(f"Lake, {self.lake.episodes} runs {self.lake} %")
        return "\n".join(lines)

    def as_json(self) -> dict:
        """Return all measurements for programs."""
        showings: dict = {
            ways: {k: asdict(share) for k, share in by_showing.items()}
            for ways, by_showing in self.showings.items()
        }
        if self.keys is None:  # its episodes are like those of its training
            return {**self.setting, "showings": showings[None]}
        found = {
            **self.setting,
            "few_shot": {name: asdict(share) for name, share in self.few_shot.items()},
            "showings": showings,
        }
        found |= {"lifelong": self.lifelong} if self.lifelong else {}
        return found | ({"lake": asdict(self.lake)} if self.lake else {})


def evaluate(path: Path | None, drawings: Drawings, measures: Measures) -> OmniglotReport:
    """Evaluate a network on drawings of characters that it was not trained on.

    Args:
        path: of its checkpoint; None to compare plain pixels.
        drawings: to test with.
        measures: what to measure.

    Raises:
        InputError: if the network was trained on these characters, or a measure does not suit it.
    """
    data = drawings.data
    split, images = part_to_test(path, data, drawings.split, drawings.part, drawings.image_size)
    setting = {
        "path": str(path) if path else "pixels",
        "split": split,
        "part": drawings.part,
        "seed": measures.seed,
    }
    if path and learns_within_episodes(path):
        _must_be_plain(path, measures)
        found = sequence_showings(path, data, images, measures.episodes, measures.seed)
        return OmniglotReport(setting, images, showings={None: found})
    runs = []
    if measures.lake:  # before the long work
        lake_must_be_unseen(path, data)
        runs = read_runs(measures.lake, images.size)
    embedder = Embedder(path, measures.views, data)
    logger.info("Embedding %d drawings of %d classes", images.images[:, :, 0, 0].size, len(images))
    keys, seed = embedder(images.images), measures.seed
    return OmniglotReport(
        setting | {"views": measures.views, "rule": rule_of(measures.protocols)},
        images,
        keys,
        few_shot(keys, measures.protocols, measures.episodes, seed, embedder.temperature),
        {
            ways: showings(keys, ways, measures.showings_episodes, seed)
            for ways in measures.showings
        },
        retention(keys, MEMORY_SIZES, WRITES, seed) if measures.lifelong else {},
        _lake(embedder, runs) if runs else None,
    )


def rule_of(protocols: Sequence[Protocol]) -> str:
    """Return the rule by which a memory names classes in all protocols."""
    (rule,) = {protocol.rule for protocol in protocols} or {VOTE}
    return rule


def _must_be_plain(path: Path, measures: Measures) -> None:
    given = {"showings": measures.showings, "lifelong": measures.lifelong,
             "lake": measures.lake, "views": measures.views > 1}  # fmt: skip
    if any(given.values()):
        raise InputError(
            f"{path}: learns within an episode, so only the k-th showing can be measured, in "
            f"episodes like those of its training; leave out "
            + " ".join(f"--{name}" for name, value in given.items() if value)
        )


def _lake(embedder: Embedder, runs: Sequence[Run]) -> Share:
    return lake_runs(
        [(embedder(run.training), embedder(run.test), torch.from_numpy(run.labels)) for run in runs]
    )
