"""Learning algorithms from examples: ``--task algorithmic --algorithm binary_addition``.

Nothing is downloaded: examples are generated on the fly from the seed. Any sequence-to-sequence
model can learn these tasks with ``--criterion memory_cross_entropy``. Validation also reports how
many sequences are entirely correct. Subsets are ``train``, ``valid``, and ``test`` with examples of
the longest length; ``test_60`` has examples of length 60.
"""

import re
from dataclasses import dataclass
from functools import partial
from typing import Any, Optional

import torch
from fairseq.data import Dictionary
from fairseq.dataclass import ChoiceEnum
from fairseq.logging import metrics
from fairseq.tasks import FairseqTask, register_task
from omegaconf import II
from torch import Tensor

from fairseq_plugins.data.algorithmic import (
    AlgorithmicDataset,
    Curriculum,
    CutAtFirst,
    make_dictionary,
)
from fairseq_plugins.data.algorithms import ALGORITHMS
from fairseq_plugins.data.drawn import TRAIN, DrawsBatches, drawn_together
from fairseq_plugins.data.episodes import generator
from fairseq_plugins.data.rare_symbols import RareSymbols
from fairseq_plugins.errors import InputError
from fairseq_plugins.modules.options import COUNT, SIZE, UPDATES, Range, option
from fairseq_plugins.patches.arguments import check_part
from fairseq_plugins.patches.dictionaries import RemembersDictionaries
from fairseq_plugins.patches.trainings import begin_task
from fairseq_plugins.tasks.committing import CommitsMemory, CommittingConfig

RARE = "rare_symbols"
VALID = "valid"
SUBSET = re.compile(r"test(_(?P<length>\d+))?")
UNSEEN = 1 << 40  # examples from here on are never reached in training
VALID_TEXT, TEST_TEXT = 0, 1  # of rare symbols


@dataclass
class AlgorithmicConfig(CommittingConfig):
    """The algorithm, and the lengths of its examples."""

    algorithm: ChoiceEnum([*ALGORITHMS, RARE]) = option(  # type: ignore[valid-type]
        "copy", "algorithm to learn"
    )
    min_length: int = option(1, "shortest length of training examples", SIZE)
    max_length: int = option(20, "longest length of training examples", SIZE)
    curriculum_batches: int = option(
        0,
        "number of batches before the longest examples are drawn; for rare_symbols, before "
        "examples are no longer shortened",
        UPDATES,
    )
    batches: int = option(500, "number of batches in an epoch", COUNT)
    valid_batches: int = option(20, "number of batches in validation and in a test", COUNT)
    symbols: int = option(16_000, "for rare_symbols: number of symbols", COUNT)
    examples: int = option(20_000, "for rare_symbols: number of different training examples", COUNT)
    max_source_positions: int = option(1024, "length of the longest source", Range(least=1))
    max_target_positions: int = option(1024, "length of the longest target", Range(least=1))
    batch_size: Optional[int] = II("dataset.batch_size")  # noqa: UP045  (or hydra takes no null)
    seed: int = II("common.seed")


@register_task("algorithmic", dataclass=AlgorithmicConfig)
class AlgorithmicTask(CommitsMemory, DrawsBatches, RemembersDictionaries, FairseqTask):
    """Learning an algorithm from examples."""

    cfg: AlgorithmicConfig

    def __init__(self, cfg: AlgorithmicConfig) -> None:
        super().__init__(cfg)
        check_part(cfg, AlgorithmicConfig)
        if cfg.min_length > cfg.max_length:
            raise InputError(
                f"--min-length {cfg.min_length} --max-length {cfg.max_length}: the longest length "
                "must not be less than the shortest"
            )
        self.rare: RareSymbols | None = None
        if str(cfg.algorithm) == RARE:
            self.rare = RareSymbols(cfg.symbols, cfg.examples, cfg.max_length, cfg.seed)
        names = self.rare.names if self.rare else ALGORITHMS[str(cfg.algorithm)].symbols
        self._dictionary = make_dictionary(list(names))

    @classmethod
    def setup_task(cls, cfg: AlgorithmicConfig, **kwargs: Any) -> "AlgorithmicTask":
        """Create the task; there is nothing to load."""
        begin_task()
        return cls(cfg)

    def load_dataset(self, split: str, *args: Any, **kwargs: Any) -> None:
        """Create ``train``, ``valid``, ``test`` or ``test_LENGTH``.

        Raises:
            InputError: if the name is not one of these.
        """
        cfg = self.cfg
        named = SUBSET.fullmatch(split)
        batches = cfg.batches if split == TRAIN else cfg.valid_batches
        if split == TRAIN:
            # For rare symbols, examples must not stay shortened: their symbols count as seen.
            kind = CutAtFirst if self.rare else Curriculum
            length = kind(cfg.min_length, cfg.max_length, cfg.curriculum_batches)
        elif split == VALID:
            length = Curriculum(cfg.min_length, cfg.max_length, 0)
        elif named:
            only = int(named["length"] or cfg.max_length)
            if only < 1:
                raise InputError(f"{split}: examples must have a length of at least 1")
            length = Curriculum(only, only, 0)
        else:
            raise InputError(
                f"there is no subset {split!r}; use train, valid, test or, for examples of length "
                "60, test_60"
            )
        draw = partial(self._draw, split)
        self.datasets[split] = AlgorithmicDataset(
            draw, length, self._dictionary, batches, drawn_together(cfg.batch_size)
        )

    def _draw(self, split: str, index: int, length: int) -> tuple[list[str], list[str]]:
        if self.rare and split == TRAIN:
            return self.rare.training(index, length)
        if self.rare:
            return self.rare.test(VALID_TEXT if split == VALID else TEST_TEXT, index, length)
        number = {TRAIN: 0, VALID: UNSEEN}.get(split, 2 * UNSEEN) + index
        return ALGORITHMS[str(self.cfg.algorithm)].draw(length, generator(self.cfg.seed, number))

    def _digests(self) -> dict[str, str]:
        if not self.rare:
            return {"symbols": " ".join(ALGORITHMS[str(self.cfg.algorithm)].symbols)}
        cfg = self.cfg  # another function or another training text gives symbols other meanings
        return {
            "symbols": f"--algorithm {RARE} --seed {cfg.seed} --symbols {cfg.symbols} "
            f"--examples {cfg.examples} --max-length {cfg.max_length}"
        }

    def _differs(self, name: str, known: str) -> str:
        return (
            f"the checkpoint was trained on other symbols: with {known}, but this task has "
            f"{self._digests()[name]}; use the options of its training"
        )

    def valid_step(self, sample: dict, model: Any, criterion: Any) -> tuple[Tensor, int, dict]:
        """Compute the loss, and count the sequences that greedy decoding would get right.

        It gets one right if and only if every symbol is the most probable one after the correct
        ones.
        """
        loss, size, log = super().valid_step(sample, model, criterion)
        with torch.no_grad():
            output = model(**sample["net_input"])
            answer = model.get_normalized_probs(output, log_probs=True, sample=sample).argmax(-1)
            target = sample["target"]
            right = (answer == target) | (target == self._dictionary.pad())
        log |= {
            "sequences": len(target),
            "sequences_right": int(right.all(1).sum()),
            "symbols": int((target != self._dictionary.pad()).sum()),
            "symbols_right": int((right & (target != self._dictionary.pad())).sum()),
        }
        return loss, size, log

    def reduce_metrics(self, logging_outputs: list[dict], criterion: Any) -> None:
        """Log the percentages of symbols, and of whole sequences, that are correct."""
        super().reduce_metrics(logging_outputs, criterion)
        for name in ("symbols", "sequences"):
            count = sum(log.get(name, 0) for log in logging_outputs)
            if count:
                right = sum(log.get(f"{name}_right", 0) for log in logging_outputs)
                metrics.log_scalar(f"{name}_right", 100 * right / count, count, round=2)

    def max_positions(self) -> tuple[int, int]:
        """Return the longest source and target."""
        return self.cfg.max_source_positions, self.cfg.max_target_positions

    @property
    def source_dictionary(self) -> Dictionary:
        """Dictionary of the task's symbols."""
        return self._dictionary

    @property
    def target_dictionary(self) -> Dictionary:
        """The same dictionary."""
        return self._dictionary
