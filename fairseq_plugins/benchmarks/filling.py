"""How fast a memory is filled, from the beginning of a corpus to its end."""

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from fairseq import checkpoint_utils

from fairseq_plugins import registered  # noqa: F401, so that fairseq builds our models
from fairseq_plugins.modules.write_policy import WritePolicy
from fairseq_plugins.teaching.fill import FillReport, fill
from fairseq_plugins.teaching.loaded_checkpoint import Corpus, LoadedCheckpoint

PARTS = 10


@dataclass(frozen=True)
class Work:
    """What to fill, and with what.

    Attributes:
        path: checkpoint of a model with a memory, which is emptied first.
        data: folder written by fairseq-preprocess.
        split: part of the data, all of whose target tokens are written.
        slots: of the memory.
        search: for ``--memory-search``.
        recall: for ``--memory-recall``.
        max_tokens: maximum number of target tokens in a batch.
    """

    path: Path
    data: Path
    split: str = "train"
    slots: int = 400_000
    search: str = "ivf"
    recall: float = 0.99
    max_tokens: int = 4000


@dataclass(frozen=True)
class Mark:
    """How far a filling had come.

    Attributes:
        tokens: that were read.
        seconds: that it had taken.
        filled: slots.
    """

    tokens: int
    seconds: float
    filled: int


def measure(work: Work) -> list[Mark]:
    """Fill a memory; return how far it had come at the beginning and after every batch."""
    overrides = {"memory_search": work.search, "memory_recall": work.recall}
    state = checkpoint_utils.load_checkpoint_to_cpu(str(work.path), overrides)
    corpus = Corpus(work.data, work.max_tokens)
    loaded = LoadedCheckpoint(work.path, corpus, work.slots, state=state)
    loaded.memory.clear()
    marks, begin = [Mark(0, 0.0, 0)], time.perf_counter()

    def note(report: FillReport) -> None:
        marks.append(Mark(report.seen, time.perf_counter() - begin, len(loaded.memory)))

    everything = WritePolicy("all", surprise=1.0, rare=1, counts=torch.zeros(0))
    fill(loaded, work.split, everything, keep=note)
    return marks


def parts(marks: Sequence[Mark]) -> list[Mark]:
    """Return the first mark, and those at which each tenth of the tokens had been read."""
    total = marks[-1].tokens
    ends = (total * part / PARTS for part in range(PARTS + 1))
    return [next(mark for mark in marks if mark.tokens >= end) for end in ends]


def table(marks: Sequence[Mark]) -> Iterator[str]:
    """Yield the lines of a table with the rate in each tenth of the corpus."""
    yield "| tokens read | tokens/s | slots filled |"
    yield "| ---: | ---: | ---: |"
    ends = parts(marks)
    for before, mark in itertools.pairwise(ends):
        tokens, seconds = mark.tokens - before.tokens, mark.seconds - before.seconds
        rate = f"{tokens / seconds:,.0f}" if tokens else ""  # a batch may be longer than a tenth
        yield f"| {mark.tokens:,} | {rate} | {mark.filled:,} |"
