"""Teaches a checkpoint's model sentence pairs: each is kept completely, and no weight changes.

Every target token of a pair gets a slot of its own in the memory, which is never merged into and
never evicted. Every word that hardly ever occurs in training is stored with the source word that it
translates (:mod:`~fairseq_plugins.teaching.terms`). Filling (:mod:`~fairseq_plugins.teaching.fill`)
is for whole corpora: it merges similar entries and evicts old ones.
"""

import logging
from dataclasses import dataclass

import torch
from torch import Tensor

from fairseq_plugins.data.drawn import TRAIN
from fairseq_plugins.errors import InputError
from fairseq_plugins.modules.term_reader import TermReader
from fairseq_plugins.modules.words import Words
from fairseq_plugins.teaching.loaded_checkpoint import LoadedCheckpoint
from fairseq_plugins.teaching.terms import terms_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TeachReport:
    """Summary of teaching lessons to a memory."""

    lessons: int = 0
    tokens: int = 0
    """Slots that were pinned."""
    terms: int = 0
    """New words with their source words."""
    size: int = 0
    """Slots of the memory afterwards."""
    seconds: float = 0.0

    def __str__(self) -> str:
        """Return one line for people."""
        return (
            f"{self.lessons:,} lessons taught in {self.seconds:.1f} s: {self.tokens:,} tokens, "
            f"{self.terms:,} new words; the memory has {self.size:,} slots"
        )


@torch.no_grad()
def teach(loaded: LoadedCheckpoint, split: str, origin: int = 0) -> TeachReport:
    """Teach a model a split of its corpus, one lesson per line.

    Args:
        loaded: its memory is taught.
        split: of its corpus.
        origin: of the first line, see ``Corpora.origin``; the others follow.

    Returns:
        A summary.

    Raises:
        InputError: if the data has no such split, or the model has no attention to find words with.
    """
    reader = term_reader(loaded)
    count_words(loaded, reader)
    memory, lessons, tokens, terms = loaded.memory, 0, 0, 0
    for sample in loaded.batches(split):
        # A lesson is known again by a query that is the same to the last digits.
        decoded = loaded.decode(sample, ask=False, exact=True)
        origins = decoded.of_lines(sample, origin)
        memory.teach(decoded.reading.query, decoded.target, origins)
        lines = (origin + sample["id"]).tolist()
        found = [terms_of(reader, *pair) for pair in decoded.pairs()]
        reader.memory.teach_all(zip(found, lines, strict=True))
        terms += sum(bool(term.pieces) for some in found for term in some)
        lessons, tokens = lessons + len(sample["id"]), tokens + len(origins)
    return TeachReport(lessons, tokens, terms, memory.size)


def term_reader(loaded: LoadedCheckpoint) -> TermReader:
    """Return the part of a model that remembers new words.

    Raises:
        InputError: if it has none.
    """
    reader = getattr(loaded.model.decoder, "terms", None)
    if reader is None:
        raise InputError("this model's memory cannot be taught; fill it, without --teach")
    return reader


@torch.no_grad()
def count_words(loaded: LoadedCheckpoint, reader: TermReader) -> None:
    """Count the words of a model's training text, if they have not been counted yet.

    Without the text every word counts as new, which is logged.
    """
    if reader.target_counts.total():
        return
    train = str(getattr(loaded.task.cfg, "train_subset", TRAIN))
    try:
        batches = loaded.batches(train)
        for sample in batches:
            reader.source_counts.add(
                _word_numbers(reader.source, sample["net_input"]["src_tokens"])
            )
            reader.target_counts.add(_word_numbers(reader.target, sample["target"]))
    except InputError:
        logger.warning(
            "%s: has no split %r to count words in; every word is treated as new",
            loaded.corpus.data, train,
        )  # fmt: skip


def _word_numbers(words: Words, tokens: Tensor) -> Tensor:
    """Return the numbers of all words of [batch, time]."""
    numbers, begins = words.numbers(tokens)
    return numbers[begins]
