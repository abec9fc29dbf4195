"""Measures how well embeddings of drawings distinguish classes seen once, and for how long.

All measurements use embeddings ``keys`` [classes, drawings, D], of a trained network or of plain
pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from fairseq import checkpoint_utils
from torch import Tensor

from fairseq_plugins.data.episodes import Distortion, Protocol, generator, play, to_float
from fairseq_plugins.errors import InputError
from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.progress import Progress

NORMAL_95 = 1.96  # standard errors around the mean that contain 95 % of a normal distribution
AT_ONCE = 1000  # number of drawings embedded at once
SHOWINGS = (1, 2, 3, 4, 5, 10)  # of a class, as in both papers
INSTANCES = 10  # drawings of each class in an episode of showings
PROBES = 100  # classes shown once in the life-long test
DISTORTION = Distortion(shift=2, rotation=10, shear=0.2, scale=0.15)  # of additional views
PIXEL_TEMPERATURE = 100.0  # of votes by pixels: close to the nearest neighbour


@dataclass(frozen=True)
class Share:
    """A share of correct answers, in per cent.

    Attributes:
        mean: over episodes.
        interval: half the width of the 95 % interval of the mean.
        episodes: number of episodes.
    """

    mean: float
    interval: float
    episodes: int

    @classmethod
    def of(cls, right: Tensor) -> "Share":
        """Create it from the share of correct answers in each episode [episodes]."""
        count = len(right)
        spread = float(right.double().std()) if count > 1 else 0.0
        interval = 100 * NORMAL_95 * spread / count**0.5
        return cls(100 * float(right.double().mean()), interval, count)

    def __str__(self) -> str:
        """Return for instance ``98.40 ± 0.12``."""
        return f"{self.mean:.2f} ± {self.interval:.2f}"


class Embedder:
    """A trained network, or plain pixels.

    Args:
        path: of a checkpoint; None for pixels.
        views: number of views of each drawing whose embeddings are averaged: the drawing itself,
            and slightly distorted ones.
        data: folder created by data_prep.omniglot; that of the training may no longer exist.

    Raises:
        InputError: if the model in the checkpoint does not embed drawings.
    """

    def __init__(self, path: Path | None, views: int = 1, data: Path | None = None) -> None:
        self.model: Any = None
        self.views = views
        self.temperature = PIXEL_TEMPERATURE
        if path is not None:
            moved = {"data": str(data)} if data else {}
            models, self.cfg = checkpoint_utils.load_model_ensemble([str(path)], moved)
            self.model = models[0].eval()
            memory = getattr(self.model, "memory", None)
            if not isinstance(memory, KeyValueMemory):
                raise InputError(
                    f"{path}: its model ({type(self.model).__name__}) does not query a key-value "
                    "memory about drawings; give a checkpoint of omniglot_convnet_memory"
                )
            self.temperature = memory.temperature

    @torch.no_grad()
    def __call__(self, images: np.ndarray) -> Tensor:
        """Embed drawings [..., size, size] uint8 -> [..., D] float32."""
        pixels = to_float(images.reshape(-1, *images.shape[-2:]))
        if self.model is None:
            return pixels.view(*images.shape[:-2], -1)
        total = self.views * len(pixels)
        with Progress(total=total, desc="Embedding", unit=" drawings", leave=False) as bar:
            keys = self._embed(pixels, bar)
            for view in range(1, self.views):
                keys += self._embed(DISTORTION(pixels, generator(0, view)), bar)
        return keys.view(*images.shape[:-2], -1)

    def _embed(self, pixels: Tensor, bar: Progress) -> Tensor:
        """Embed [N, size, size] as unit vectors [N, D]."""
        parts = []
        for part in pixels.split(AT_ONCE):
            parts.append(self.model(part)[0].float())
            bar.update(len(part))
        return F.normalize(torch.cat(parts), dim=1)


def few_shot(
    keys: Tensor, protocols: Sequence[Protocol], episodes: int, seed: int, temperature: float
) -> dict[str, Share]:
    """Measure N-way K-shot classification, with a new memory for each episode.

    Raises:
        InputError: if a protocol needs more classes or drawings than there are.
    """
    for protocol in protocols:
        if not protocol.fits(*keys.shape[:2]):
            raise InputError(
                f"{protocol.name} with {protocol.queries} queries needs {protocol.ways} classes "
                f"with {protocol.shots + protocol.queries} drawings each, but there are "
                f"{keys.shape[0]} with {keys.shape[1]}; ask for less"
            )
    return {
        protocol.name: Share.of(play(keys, protocol, episodes, seed, temperature))
        for protocol in protocols
    }


def showings(keys: Tensor, ways: int, episodes: int, seed: int) -> dict[int, Share]:
    """Measure how often a class is named correctly when it is shown for the k-th time.

    Each episode shows ten drawings of each of ``ways`` classes in random order. Each drawing is
    first classified by the memory, which is empty at the start, and then written with its class
    (Santoro et al. 2016, table 1; Kaiser et al. 2017, table 2).

    Args:
        keys: [classes, drawings, D].
        ways: number of classes in an episode.
        episodes: number of episodes.
        seed: of the draws.

    Returns:
        k -> share of correct answers, for k = 1, 2, 3, 4, 5, 10.

    Raises:
        InputError: if there are fewer classes, or fewer than ten drawings.
    """
    if ways > keys.shape[0] or keys.shape[1] < INSTANCES:
        raise InputError(
            f"{INSTANCES} showings of {ways} classes need as many drawings and classes, and there "
            f"are {keys.shape[0]} classes with {keys.shape[1]}; ask for less"
        )
    right = torch.zeros(episodes, INSTANCES)
    memory = KeyValueMemory(ways * INSTANCES, keys.shape[-1], ways)
    for episode in Progress(range(episodes), f"{ways} classes", unit=" episodes"):
        rng = generator(seed, episode)
        rows = rng.choice(len(keys), ways, replace=False)
        columns = rng.random((ways, keys.shape[1])).argsort(axis=1)[:, :INSTANCES]
        seen = [0] * ways
        memory.clear()
        for label in rng.permutation(np.repeat(np.arange(ways), INSTANCES)).tolist():
            query = keys[rows[label], columns[label, seen[label]]].unsqueeze(0)
            target = torch.tensor([label])
            right[episode, seen[label]] += float(memory.query(query).values[0, 0] == label)
            memory.write(query, target)
            seen[label] += 1
    return {k: Share.of(right[:, k - 1] / ways) for k in SHOWINGS}


def retention(
    keys: Tensor, sizes: Sequence[int], writes: Sequence[int], seed: int
) -> dict[int, dict[int, float]]:
    """Measure how much of what was shown once is remembered after a number of other writes.

    A hundred classes are shown once. Then drawings of all other classes are written, one by one,
    and after each number of writes the memory is asked about other drawings of the hundred classes.

    Args:
        keys: [classes, drawings, D].
        sizes: numbers of slots of the memories to try.
        writes: numbers of writes after which to ask, ascending.
        seed: of the draws.

    Returns:
        Size -> writes -> correct answers, in per cent.

    Raises:
        InputError: if there are not more than a hundred classes.
    """
    if len(keys) <= PROBES:
        raise InputError(
            f"the life-long test needs more than {PROBES} classes, and there are {len(keys)}; "
            "use another part of the data"
        )
    classes, drawings = keys.shape[:2]
    rng = generator(seed, 0)
    order = rng.permutation(classes)
    probes, others = order[:PROBES], order[PROBES:]
    stream = torch.from_numpy(
        np.stack([rng.choice(others, max(writes)), rng.integers(drawings, size=max(writes))], 1)
    )
    questions = keys[probes, 1:].flatten(0, 1)
    answers = torch.from_numpy(probes).repeat_interleave(drawings - 1)
    result: dict[int, dict[int, float]] = {}
    for size in sizes:
        memory = KeyValueMemory(size, keys.shape[-1], classes)
        memory.write(keys[probes, 0], torch.from_numpy(probes))
        result[size] = {}
        written = 0
        bar = iter(Progress(stream.tolist(), f"{size} slots", unit=" writes", leave=False))
        for count in writes:
            for row, column in islice(bar, count - written):
                memory.write(keys[row, column].unsqueeze(0), torch.tensor([row]))
            written = count
            right = memory.query(questions).values[:, 0] == answers
            result[size][count] = 100 * float(right.float().mean())
    return result


def lake_runs(runs: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Share:
    """Measure Lake's 20-way classification within an alphabet.

    Args:
        runs: embeddings of the training drawings [20, D], one per class, of the test drawings
            [20, D], and the correct class of each test drawing [20].

    Returns:
        Correct answers; a run is an episode.
    """
    right = []
    for shown, asked, labels in runs:
        memory = KeyValueMemory(len(shown), shown.shape[1], len(shown))
        memory.write(shown, torch.arange(len(shown)))
        right.append((memory.query(asked).values[:, 0] == labels).float().mean())
    return Share.of(torch.stack(right))
