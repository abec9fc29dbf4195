"""From a checkpoint with a memory to the same one with a memory that was filled."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from fairseq_plugins import allocator
from fairseq_plugins.autocast import AUTO
from fairseq_plugins.criterions.memory_cross_entropy import policy_for
from fairseq_plugins.modules.term_reader import TermReader
from fairseq_plugins.teaching.calibrate import Calibration, calibrate
from fairseq_plugins.teaching.fill import FillReport, fill
from fairseq_plugins.teaching.loaded_checkpoint import Corpus, LoadedCheckpoint
from fairseq_plugins.teaching.teach import TeachReport, count_words, teach


@dataclass(frozen=True)
class Filling:
    """What a memory is filled with, and how.

    Attributes:
        data: folder that fairseq-preprocess wrote, or several with a colon between them, its
            shards; None if the task makes its data itself.
        split: part of the data that is remembered.
        memory_size: slots the memory is to have; None leaves it as it is.
        memory_write: which tokens are remembered, one of ``write_policy.POLICIES``.
        memory_surprise: for ``surprise``: tokens below this probability.
        memory_rare: for ``rare``: tokens seen less often than this in training.
        teach: whether each line of the split is a lesson, see :func:`~.teach.teach`, and is kept
            whole.
        clear: forget first what the memory holds.
        epochs: passes over the split; 0 only calibrates.
        calibrate: part of the data to fit gate and temperature on; None leaves them.
        max_tokens: target tokens a batch.
        seed: of the order of the batches.
        autocast: number format of the network's products, a name in ``autocast.CHOICES``.
    """

    data: Path | None = None
    split: str = "train"
    memory_size: int | None = None
    memory_write: str = "all"
    memory_surprise: float = 0.5
    memory_rare: int = 100
    teach: bool = False
    clear: bool = False
    epochs: int = 1
    calibrate: str | None = None
    max_tokens: int = 4000
    seed: int = 1
    autocast: str = AUTO


@dataclass(frozen=True)
class Filled:
    """What was done to a checkpoint's memory."""

    output: Path
    fill: FillReport | TeachReport | None
    """None if nothing was read."""
    calibration: Calibration | None
    """None if it was not asked for."""

    def __str__(self) -> str:
        """A line for each thing that was done."""
        done = [str(part) for part in (self.fill, self.calibration) if part is not None]
        return "\n".join([*done, f"Wrote {self.output}"])


def fill_checkpoint(path: Path, output: Path, filling: Filling, device: str = "cpu") -> Filled:
    """Fill the memory of a checkpoint, calibrate its reader if wanted, and write the result.

    Args:
        path: checkpoint of a model with memory.
        output: checkpoint to write, whole or not at all.
        filling: what with, and how.
        device: to compute on.

    Returns:
        What was done.

    Raises:
        InputError: if the checkpoint or the data is not usable.
    """
    allocator.keep_freed_memory()
    torch.manual_seed(filling.seed)
    corpus = Corpus(filling.data, filling.max_tokens, filling.seed)
    loaded = LoadedCheckpoint(path, corpus, filling.memory_size, device, filling.autocast)
    terms: TermReader | None = getattr(loaded.model.decoder, "terms", None)
    if filling.clear:
        loaded.memory.clear()
        if terms is not None:
            terms.memory.clear()
    if terms is not None:
        count_words(loaded, terms)
    report = _fill(loaded, filling) if filling.epochs else None
    gained = calibrate(loaded, filling.calibrate) if filling.calibrate else None
    loaded.save(output)
    return Filled(output, report, gained)


def _fill(loaded: LoadedCheckpoint, filling: Filling) -> FillReport | TeachReport:
    begin = time.perf_counter()
    if filling.teach:
        taught = teach(loaded, filling.split)
        return replace(taught, seconds=time.perf_counter() - begin)
    words = loaded.task.target_dictionary
    policy = policy_for(words, filling.memory_write, filling.memory_surprise, filling.memory_rare)
    report = fill(loaded, filling.split, policy, filling.epochs)
    return replace(report, seconds=time.perf_counter() - begin)
