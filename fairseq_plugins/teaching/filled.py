"""Fills the memory of a checkpoint, and writes the result to another checkpoint."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from fairseq import checkpoint_utils

from fairseq_plugins import allocator
from fairseq_plugins.autocast import AUTO
from fairseq_plugins.checkpoints.corpora import LINES, Corpora, corpora_of
from fairseq_plugins.criterions.memory_cross_entropy import policy_for
from fairseq_plugins.errors import InputError
from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory.collective import number_of_ranks
from fairseq_plugins.memory.thinning import spare_slots
from fairseq_plugins.modules.term_reader import TermReader
from fairseq_plugins.patches.memory_files import index_beside
from fairseq_plugins.ranks import lead
from fairseq_plugins.teaching.calibrate import Calibration, calibrate
from fairseq_plugins.teaching.fill import FillReport, fill
from fairseq_plugins.teaching.loaded_checkpoint import Corpus, LoadedCheckpoint
from fairseq_plugins.teaching.teach import TeachReport, count_words, teach
from fairseq_plugins.teaching.texts import Row, Texts, texts_beside, write_texts
from fairseq_plugins.teaching.unfinished import Unfinished


@dataclass(frozen=True)
class Filling:
    """How to fill a memory.

    Attributes:
        data: folder written by fairseq-preprocess, or several, separated by colons, with the shards
            of a corpus; None if the task generates its data.
        split: part of the data to remember.
        memory_size: new number of slots; None to leave it unchanged.
        memory_storage: where the result's keys are, one of ``memory.config.STORAGES``; None to
            leave it unchanged, as for the next three.
        memory_search: how its slots are found, from now on, see ``memory.search.NAMES``.
        memory_recall: share of exact search's answers to be found, from now on.
        memory_sure: probability from which the memory is not asked in generation, from now on.
        memory_sharded: whether its keys are divided among processes, from now on.
        memory_write: which tokens to remember, one of ``write_policy.POLICIES``.
        memory_surprise: for ``surprise``: remember tokens with a lower probability than this.
        memory_rare: for ``rare``: remember tokens that occur less often than this in training.
        origin: name of the corpus in explanations; None for the last two parts of its path, and
            its split.
        keep_text: whether to keep the texts of remembered lines beside the result, for
            explanations.
        teach: whether each line of the split is a lesson and is kept completely, see
            :func:`~.teach.teach`.
        clear: whether to empty the memory first.
        drop_alike: after filling, number of neighbours that must hold the value of a slot so that
            it is dropped, see :func:`~.thinning.spare_slots`; None to drop nothing.
        epochs: number of passes over the split; 0 writes nothing.
        calibrate: part of the data on which to fit gate and temperature; None for none.
        max_tokens: maximum number of target tokens in a batch.
        seed: of the order of batches.
        autocast: number format of the network's products, a name in ``autocast.CHOICES``.
    """

    data: Path | None = None
    split: str = "train"
    memory_size: int | None = None
    memory_storage: str | None = None
    memory_search: str | None = None
    memory_recall: float | None = None
    memory_sure: float | None = None
    memory_sharded: bool | None = None
    memory_write: str = "all"
    memory_surprise: float = 0.5
    memory_rare: int = 100
    origin: str | None = None
    keep_text: bool = False
    teach: bool = False
    clear: bool = False
    drop_alike: int | None = None
    epochs: int = 1
    calibrate: str | None = None
    max_tokens: int = 4000
    seed: int = 1
    autocast: str = AUTO

    @property
    def options(self) -> dict[str, Any]:
        """Options of the model to be changed."""
        names = ("memory_storage", "memory_search", "memory_recall", "memory_sure",
                 "memory_sharded")  # fmt: skip
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def corpus(self) -> str:
        """The name of the corpus."""
        if self.origin is not None:
            return self.origin
        first = Path(str(self.data or "").partition(":")[0]).resolve()
        name = "/".join(first.parts[-2:]) if self.data else "generated"
        return name if self.split == "train" else f"{name} ({self.split})"


@dataclass(frozen=True)
class Thinning:
    """Summary of dropping slots that others replace."""

    dropped: int
    """Slots dropped."""
    kept: int
    """Slots in use at the end."""

    def __str__(self) -> str:
        """Return one line for people."""
        return (
            f"{self.dropped:,} of {self.dropped + self.kept:,} slots dropped, because those around "
            f"them hold the same value; {self.kept:,} slots filled"
        )


@dataclass(frozen=True)
class Filled:
    """Summary of the changes to a checkpoint's memory."""

    output: Path
    fill: FillReport | TeachReport | None
    """Summary of what was written to the memory; None if nothing was."""
    thinning: Thinning | None
    """Summary of what was dropped from it; None if nothing was to be."""
    calibration: Calibration | None
    """Result of the calibration; None without one."""

    def __str__(self) -> str:
        """Return a line for each change."""
        parts = (self.fill, self.thinning, self.calibration)
        done = [str(part) for part in parts if part is not None]
        return "\n".join([*done, f"Wrote {self.output}"])


def fill_checkpoint(path: Path, output: Path, filling: Filling, device: str = "cpu") -> Filled:
    """Fill the memory of a checkpoint, calibrate its reader if requested, and write the result.

    If the process is killed while it fills, the same call goes on from the last copy, see
    :mod:`.unfinished`. If several processes of a :func:`~.ranks.team` call it, rank 0 does the
    work, and the memory is divided among all.

    Args:
        path: checkpoint of a model with a memory.
        output: checkpoint to write, completely or not at all.
        filling: how to fill the memory.
        device: to compute on.

    Returns:
        A summary.

    Raises:
        InputError: if the checkpoint or the data is unusable.
    """
    if number_of_ranks() > 1:
        _check_alone(filling)
    allocator.keep_freed_memory()
    torch.manual_seed(filling.seed)
    corpus = Corpus(filling.data, filling.max_tokens, filling.seed)
    unfinished = Unfinished(output, path, filling)
    state, done = unfinished.resume()
    resumed = state is not None
    if state is None:
        state = _read(path, filling.options)
    size = None if resumed else filling.memory_size
    loaded = LoadedCheckpoint(path, corpus, size, device, filling.autocast, state)
    if filling.clear and not resumed:
        _clear(loaded)
    lead(loaded.model)
    if not resumed:
        _count_words(loaded)
    corpora = corpora_of(loaded.state)
    known = Texts(path, corpora.texts)
    report = _fill(loaded, filling, corpora, unfinished, done) if filling.epochs else None
    thinning = _thin(loaded.memory, filling.drop_alike) if filling.drop_alike else None
    gained = calibrate(loaded, filling.calibrate) if filling.calibrate else None
    _save(loaded, output, corpora, _texts(loaded, filling, corpora, known))
    unfinished.remove()
    known.close()
    return Filled(output, report, thinning, gained)


def _check_alone(filling: Filling) -> None:
    """Raise InputError if several processes cannot do what one can."""
    if filling.teach:
        raise InputError("--teach: lessons are taught by one process; start only one")
    if filling.drop_alike:
        raise InputError("--drop-alike: slots are dropped by one process; start only one")


def _read(path: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Read a checkpoint, and change options of its model."""
    state = checkpoint_utils.load_checkpoint_to_cpu(str(path), options)
    for name in options:
        if name not in state["cfg"].model:
            option = f"--{name.replace('_', '-')}"
            raise InputError(f"{option}: the model of {path} has no such option; leave it out")
    return state


def _clear(loaded: LoadedCheckpoint) -> None:
    """Empty the memory."""
    loaded.memory.clear()
    Corpora().save(loaded.state)
    if (terms := _terms_of(loaded)) is not None:
        terms.memory.clear()


def _count_words(loaded: LoadedCheckpoint) -> None:
    """Count the words of the corpus, for terms."""
    if (terms := _terms_of(loaded)) is not None:
        count_words(loaded, terms)


def _terms_of(loaded: LoadedCheckpoint) -> TermReader | None:
    return getattr(loaded.model.decoder, "terms", None)


def _fill(
    loaded: LoadedCheckpoint,
    filling: Filling,
    corpora: Corpora,
    unfinished: Unfinished,
    done: FillReport,
) -> FillReport | TeachReport:
    origin = corpora.origin(filling.corpus)
    if filling.teach:
        taught = teach(loaded, filling.split, origin)
        return replace(taught, seconds=unfinished.seconds)
    words = loaded.task.target_dictionary
    policy = policy_for(words, filling.memory_write, filling.memory_surprise, filling.memory_rare)
    corpora.save(loaded.state)
    keep = partial(unfinished.keep, loaded)
    report = fill(loaded, filling.split, policy, filling.epochs, origin, done, keep)
    return replace(report, seconds=unfinished.seconds)


def _thin(memory: KeyValueMemory, alike: int) -> Thinning:
    """Drop the slots that the memory can spare."""
    spare = spare_slots(memory, alike)
    memory.forget(spare)
    return Thinning(len(spare), len(memory))


def _texts(
    loaded: LoadedCheckpoint, filling: Filling, corpora: Corpora, known: Texts
) -> Iterator[Row]:
    """Yield the texts of all lines that the memory remembers: those kept before, and the new."""
    remembered = set(loaded.memory.origins.unique().tolist())
    first, after = 0, 0
    if filling.keep_text and filling.epochs:
        first = corpora.origin(filling.corpus)
        after = first + LINES
    for row in known.rows():
        if row[0] in remembered and not first <= row[0] < after:
            yield row
    if after:
        for origin, pair in enumerate(loaded.lines(filling.split), first):
            if origin in remembered:
                yield origin, *pair


def _save(loaded: LoadedCheckpoint, output: Path, corpora: Corpora, texts: Iterator[Row]) -> None:
    """Write the checkpoint, and beside it the index of its memory and the texts, if any."""
    corpora.texts = ""
    if (row := next(texts, None)) is not None:
        corpora.texts = write_texts(output, itertools.chain([row], texts))
    corpora.save(loaded.state)
    loaded.save(output)
    loaded.memory.write_index(index_beside(output))
    if not corpora.texts:
        texts_beside(output).unlink(missing_ok=True)  # of what was there before
