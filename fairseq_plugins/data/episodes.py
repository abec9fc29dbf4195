"""Batches and episodes of classes, drawn on the fly.

Every draw depends only on (seed, index): not on the process that makes it, nor on earlier draws. So
any number of workers makes the same data, and a resumed training continues with exactly the data
that would have followed.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_plugins.data.drawn import DrawnDataset
from fairseq_plugins.data.omniglot import OmniglotImages
from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.modules.one_shot import VOTE, name_classes

WHITE = 255.0  # the largest value of a pixel


def generator(seed: int, index: int) -> np.random.Generator:
    """Return random numbers for one draw, independent of those for all others."""
    return np.random.default_rng((seed, index))


def draw(
    images: OmniglotImages, classes: int, drawings: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw distinct classes, and distinct drawings of each.

    Args:
        images: to draw from.
        classes: C, the number of classes.
        drawings: D, the number of drawings of each class.
        rng: random numbers.

    Returns:
        Classes [C, 1] and drawings [C, D] int64: indices into ``images.images``.
    """
    chosen = rng.choice(len(images), classes, replace=False)
    order = rng.random((classes, images.drawings)).argsort(axis=1)  # [C, all drawings]
    return chosen[:, None], order[:, :drawings]


@dataclass(frozen=True)
class Distortion:
    """Random distortions of drawings; all amounts are upper limits.

    Attributes:
        shift: in pixels, in each direction.
        rotation: in degrees, in both directions.
        shear: tangent of the angle, along each axis.
        scale: share of the size, larger or smaller along each axis.
    """

    shift: float = 0.0
    rotation: float = 0.0
    shear: float = 0.0
    scale: float = 0.0

    def __bool__(self) -> bool:
        """Return whether it changes anything."""
        return any((self.shift, self.rotation, self.shear, self.scale))

    def __call__(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Distort all drawings of a batch with random affine maps, at once.

        Args:
            images: [N, size, size] float, 0 is paper.
            rng: random numbers.

        Returns:
            [N, size, size], interpolated linearly; outside the edge is paper.
        """
        if not self:
            return images
        count, size = len(images), images.shape[-1]
        draws = rng.uniform(-1, 1, (7, count))
        angle = np.deg2rad(self.rotation) * draws[0]
        turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=1)
        one = np.ones(count)
        shear = np.stack([one, self.shear * draws[1], self.shear * draws[2], one], axis=1)
        scale = 1 + self.scale * draws[3:5].T  # [N, 2]
        linear = turn.reshape(-1, 2, 2) @ shear.reshape(-1, 2, 2) * scale[:, None]  # [N, 2, 2]
        # affine_grid measures in half widths of the image.
        shift = self.shift * draws[5:7].T[:, :, None] * (2 / size)  # [N, 2, 1]
        maps = torch.from_numpy(np.concatenate([linear, shift], axis=2)).to(images.dtype)
        grid = F.affine_grid(maps, [count, 1, size, size], align_corners=False)
        return F.grid_sample(images.unsqueeze(1), grid, align_corners=False).squeeze(1)


def to_float(images: np.ndarray) -> Tensor:
    """Convert uint8 drawings to float32 with ink 1 and paper 0."""
    return torch.from_numpy(images).float().div_(WHITE)


@dataclass(frozen=True)
class Protocol:
    """Rules of an episode.

    A number of classes are shown with some examples each, which are written to an empty memory in
    one commit. Then the memory is asked for the classes of other drawings of them.

    Attributes:
        ways: number of classes.
        shots: number of examples of each.
        queries: number of other drawings of each, to be classified.
        rule: by which the memory names a class, see
            :func:`~fairseq_plugins.modules.one_shot.name_classes`.
    """

    ways: int
    shots: int
    queries: int = 15
    rule: str = VOTE

    @property
    def name(self) -> str:
        """The name, for instance ``5way_1shot``."""
        return f"{self.ways}way_{self.shots}shot"

    def fits(self, classes: int, drawings: int) -> bool:
        """Return whether there are enough classes, and drawings of each."""
        return self.ways <= classes and self.shots + self.queries <= drawings


def play(keys: Tensor, protocol: Protocol, episodes: int, seed: int, temperature: float) -> Tensor:
    """Play episodes with embedded drawings, each with an empty memory.

    Args:
        keys: [classes, drawings, D], embeddings of all drawings.
        protocol: of each episode.
        episodes: number of episodes.
        seed: of the draws; episode i is a function of (seed, i).
        temperature: of the votes, that of the memory in training.

    Returns:
        Share of queries that were classified correctly [episodes] float32.
    """
    classes, drawings = keys.shape[:2]
    ways, shots = protocol.ways, protocol.shots
    labels = torch.arange(ways, device=keys.device)
    memory = KeyValueMemory(ways * shots, keys.shape[2], ways, neighbors=ways * shots)
    memory.to(keys.device).temperature = temperature
    shares = []
    for index in range(episodes):
        rng = generator(seed, index)
        rows = rng.choice(classes, ways, replace=False)
        columns = rng.random((ways, drawings)).argsort(axis=1)[:, : shots + protocol.queries]
        chosen = keys[rows[:, None], columns]  # [ways, shots + queries, D]
        support, query = chosen.split([shots, protocol.queries], dim=1)
        memory.clear()
        memory.write(support.flatten(0, 1), labels.repeat_interleave(shots))
        answer = name_classes(memory, query.flatten(0, 1), protocol.rule)
        right = answer == labels.repeat_interleave(protocol.queries)
        shares.append(right.float().mean())
    return torch.stack(shares)


class ClassBatches(DrawnDataset):
    """Batches of C classes with D drawings of each, for learning which drawings are alike.

    Args:
        images: the classes to draw from.
        seed: of all draws.
        classes: C.
        drawings: D.
        batches: number of batches in an epoch.
        distortion: of the drawings.

    Raises:
        InputError: if there are fewer classes or drawings.
    """

    def __init__(
        self,
        images: OmniglotImages,
        seed: int,
        classes: int,
        drawings: int,
        batches: int,
        distortion: Distortion | None = None,
    ) -> None:
        super().__init__(batches)
        self.images, self.seed = images.require(classes, drawings), seed
        self.classes, self.drawings = classes, drawings
        self.distortion = distortion or Distortion()

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return a batch: images [N, size, size] float in [0, 1], target [N] int64, N = C x D."""
        rng = generator(self.seed, index)
        rows, columns = draw(self.images, self.classes, self.drawings, rng)
        images = to_float(self.images.images[rows, columns]).flatten(0, 1)  # [N, size, size]
        target = torch.from_numpy(rows.repeat(self.drawings))  # [N]
        return {
            "net_input": {"images": self.distortion(images, rng)},
            "target": target,
            "nsentences": len(target),
            "ntokens": len(target),
        }


class AllDrawings(DrawnDataset):
    """All drawings of all classes as one batch, from which validation draws its episodes.

    An embedding does not depend on the episode, so each drawing must be embedded only once for any
    number of episodes.

    Args:
        images: the classes.
    """

    def __init__(self, images: OmniglotImages) -> None:
        super().__init__(batches=1)
        self.images = images

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return images [N, size, size] float, target [N]; drawings of a class are adjacent."""
        return {
            "net_input": {"images": to_float(self.images.images).flatten(0, 1)},
            "target": torch.arange(len(self.images)).repeat_interleave(self.images.drawings),
            "drawings": self.images.drawings,
            "nsentences": len(self.images) * self.images.drawings,
            "ntokens": len(self.images) * self.images.drawings,
        }
