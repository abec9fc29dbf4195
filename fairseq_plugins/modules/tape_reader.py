"""The way in which a Neural GPU queries a memory: once before every step of a sequence.

The answer is written to the output tape, where the next step reads it (Kaiser et al. 2017, section
3.2), mixed into the softmax as in ``memory_reading``, or both.
"""

import torch
from torch import Tensor, nn

from fairseq_plugins.memory import KeyValueMemory, MemoryHits
from fairseq_plugins.modules.memory_reader import MemoryReader
from fairseq_plugins.modules.memory_reading import MemoryReading


class TapeReader(MemoryReader):
    """A reader that writes answers to the tape.

    Args:
        memory: the memory.
        maps: m, width of a position of the state.
        mode: ``embed`` (on the tape), ``interpolate`` or ``both``.
        embedding: of the symbols, shared with the model, with width m.
    """

    feeds_back = True

    def __init__(
        self, memory: KeyValueMemory, maps: int, mode: str, embedding: nn.Embedding
    ) -> None:
        super().__init__(memory, maps, maps, mode, embedding)
        if mode != "interpolate":
            nn.init.eye_(self.combine.weight)  # the unchanged answer, as in the paper
        self.gold_share = 0.0

    def begin(self, positions: Tensor, gold: Tensor | None) -> "TapeReading":
        """Start reading for a batch of sequences.

        Args:
            positions: [batch, time] bool, where there are symbols.
            gold: [batch, time], the correct answers; None if they are unknown.
        """
        shown = torch.zeros_like(positions)
        if gold is not None and self.training and self.gold_share:
            shown = torch.rand(positions.shape, device=positions.device) < self.gold_share
        return TapeReading(self, positions, gold, shown)


class TapeReading:
    """Queries and answers at the steps of a batch.

    Args:
        reader: that queries the memory.
        positions: [batch, time] bool, where there are symbols.
        gold: [batch, time], correct answers.
        shown: [batch, time] bool, where the correct answer replaces the memory's.
    """

    def __init__(
        self, reader: TapeReader, positions: Tensor, gold: Tensor | None, shown: Tensor
    ) -> None:
        self.reader, self.positions, self.gold, self.shown = reader, positions, gold, shown
        self.queries: list[Tensor] = []
        self.hits: list[MemoryHits] = []

    def ask(self, place: Tensor) -> Tensor | None:
        """Map the positions of the queries [batch, m] to values for the tape [batch, m], if any."""
        step = len(self.queries)
        query = self.reader.project(place).float()
        hits = self.reader.memory.query(query)
        self.queries.append(query)
        self.hits.append(hits)
        if self.reader.mode == "interpolate":
            return None
        value, confidence = hits.values[:, 0], hits.confidence
        shown = self.shown[:, step]
        if self.gold is not None and bool(shown.any()):
            value = torch.where(shown, self.gold[:, step], value)
            confidence = confidence.masked_fill(shown, 1.0)
        return self.reader.answer(value, confidence)

    def finish(self, state: Tensor) -> MemoryReading:
        """Return the reading in the order of [batch, time], for softmax states [batch, time, m]."""
        steps, positions = len(self.queries), self.positions

        def chosen(parts: list[Tensor]) -> Tensor:
            return torch.stack(parts, dim=1)[positions]

        query = chosen(self.queries)
        hits = MemoryHits(
            chosen([self.hits[step].values for step in range(steps)]),
            chosen([self.hits[step].similarities for step in range(steps)]),
            chosen([self.hits[step].slots for step in range(steps)]),
            chosen([self.hits[step].weights for step in range(steps)]),
        )
        memory = self.reader.memory
        if self.reader.mode == "embed":
            return MemoryReading(memory, query, hits, positions)
        seen = state[positions]
        log_weights, gate, lessons = self.reader.weigh(hits, seen)
        return MemoryReading(memory, query, hits, positions, log_weights, gate, seen, lessons)
