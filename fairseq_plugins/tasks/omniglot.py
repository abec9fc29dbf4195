"""One-shot learning on Omniglot: ``--task omniglot``.

With ``--episodes classes``, training draws batches of ``--batch-size`` classes. Validation draws
episodes of classes that are not trained on, and reports how often the memory names a class
correctly that was shown once, or five times. With ``--episodes sequences``, both draw
``--batch-size`` sequences of drawings, for networks that learn within an episode.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import torch
from fairseq.dataclass import ChoiceEnum
from fairseq.tasks import FairseqTask, register_task
from omegaconf import II
from torch import Tensor

from fairseq_plugins.data.drawn import TRAIN, DrawsBatches, drawn_together
from fairseq_plugins.data.episodes import (
    AllDrawings,
    ClassBatches,
    Distortion,
)
from fairseq_plugins.data.omniglot import load_part, load_splits
from fairseq_plugins.data.sequences import LABELS, SequenceEpisodes, positions, symbols
from fairseq_plugins.errors import InputError
from fairseq_plugins.modules.options import COUNT, SIZE, Range, option
from fairseq_plugins.patches.trainings import begin_task
from fairseq_plugins.tasks.committing import CommitsMemory, CommittingConfig

KINDS = ("classes", "sequences")


@dataclass
class OmniglotConfig(CommittingConfig):
    """Options of the drawings and of the batches."""

    data: Optional[str] = option(  # noqa: UP045  (fairseq's parser reads no other form)
        None, "folder created by data_prep.omniglot"
    )
    split: str = option("vinyals", "split of the characters, a name in the folder's splits.json")
    image_size: int = option(28, "width and height of the drawings in pixels", SIZE)
    episodes: ChoiceEnum(list(KINDS)) = option(  # type: ignore[valid-type]
        "classes",
        "what a batch contains: drawings of --batch-size classes, or --batch-size sequences of "
        "drawings whose labels follow one step later",
    )
    drawings: int = option(
        2, "number of different drawings of each of the --batch-size classes", SIZE
    )
    ways: int = option(5, "for sequences: number of classes", SIZE)
    length: int = option(50, "for sequences: number of drawings", SIZE)
    labels: ChoiceEnum(list(LABELS)) = option(  # type: ignore[valid-type]
        "one-hot", "for sequences: labels of one symbol, or of five letters"
    )
    batches: int = option(500, "number of batches in an epoch", COUNT)
    valid_batches: int = option(60, "for sequences: number of batches in validation", COUNT)
    shift: float = option(
        0.0, "shift training drawings by up to this many pixels", Range(least=0, most=1_000)
    )
    rotation: float = option(
        0.0, "rotate training drawings by up to this many degrees", Range(least=0, most=180)
    )
    shear: float = option(
        0.0, "shear training drawings by up to this tangent", Range(least=0, most=100)
    )
    scale: float = option(
        0.0, "scale training drawings by up to this share", Range(least=0, below=1)
    )
    batch_size: Optional[int] = II("dataset.batch_size")  # noqa: UP045  (or hydra takes no null)
    seed: int = II("common.seed")


@register_task("omniglot", dataclass=OmniglotConfig)
class OmniglotTask(CommitsMemory, DrawsBatches, FairseqTask):
    """Recognising characters that were seen once."""

    cfg: OmniglotConfig

    @classmethod
    def setup_task(cls, cfg: OmniglotConfig, **kwargs: Any) -> "OmniglotTask":
        """Create the task, and check that the data exist.

        Raises:
            InputError: if they do not.
        """
        if not cfg.data:
            raise InputError("no data: name the folder that data_prep.omniglot made")
        begin_task()
        load_splits(Path(cfg.data))
        return cls(cfg, **kwargs)

    @property
    def classes(self) -> int:
        """Number of classes to train on: the values of the memory."""
        return len(self._part(TRAIN))

    @property
    def label_shape(self) -> tuple[int, int] | None:
        """Positions of a label, and symbols of each; None if labels are not shown."""
        if str(self.cfg.episodes) == "classes":
            return None
        labels = str(self.cfg.labels)
        return positions(labels), symbols(labels, self.cfg.ways)

    def _part(self, part: str) -> Any:
        return load_part(Path(str(self.cfg.data)), self.cfg.image_size, self.cfg.split, part)

    def load_dataset(self, split: str, *args: Any, **kwargs: Any) -> None:
        """Load ``train``, ``valid`` or ``test``.

        Raises:
            InputError: if the split has no such part, or too few classes or drawings.
        """
        images, cfg, training = self._part(split), self.cfg, split == TRAIN
        amounts = (cfg.shift, cfg.rotation, cfg.shear, cfg.scale) if training else ()
        distortion = Distortion(*amounts)
        if str(cfg.episodes) == "sequences":
            self.datasets[split] = SequenceEpisodes(
                images, cfg.seed, cfg.ways, cfg.length, str(cfg.labels),
                cfg.batches if training else cfg.valid_batches,
                drawn_together(cfg.batch_size), distortion,
            )  # fmt: skip
        elif training:
            self.datasets[split] = ClassBatches(
                images,
                cfg.seed,
                drawn_together(cfg.batch_size),
                cfg.drawings,
                cfg.batches,
                distortion,
            )
        else:
            self.datasets[split] = AllDrawings(images)

    def valid_step(self, sample: dict, model: Any, criterion: Any) -> tuple[Tensor, int, dict]:
        """Embed all drawings, in the number format of training, and play episodes with them."""
        model.eval()
        with torch.no_grad(), self.autocast(sample):
            return criterion(model, sample)

    def max_positions(self) -> None:
        """Return None: there are no positions."""

    @property
    def source_dictionary(self) -> None:
        """Return None: drawings have no dictionary."""

    @property
    def target_dictionary(self) -> None:
        """Return None: classes have no dictionary."""
