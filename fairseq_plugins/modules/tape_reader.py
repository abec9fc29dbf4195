"""How a Neural GPU asks a memory: once before every step, one query a sequence.

The answer is written to the output tape, where the next step finds it (Kaiser et al. 2017,
section 3.2), mixed into the softmax as in ``memory_reader``, or both.
"""

import torch
from torch import Tensor, nn

from fairseq_plugins.memory import KeyValueMemory, MemoryHits
from fairseq_plugins.modules.memory_reader import MemoryReader, MemoryReading


class TapeReader(MemoryReader):
    """A reader whose answers go to the tape.

    Args:
        memory: the memory.
        maps: m, width of a place of the state.
        mode: ``embed`` (on the tape), ``interpolate`` or ``both``.
        embedding: of the symbols, shared with the model; of width m.
    """

    feeds_back = True

    def __init__(
        self, memory: KeyValueMemory, maps: int, mode: str, embedding: nn.Embedding
    ) -> None:
        super().__init__(memory, maps, maps, mode, embedding)
        if mode != "interpolate":
            nn.init.eye_(self.combine.weight)  # the answer as it is, as in the paper
        self.gold_share = 0.0

    def begin(self, positions: Tensor, gold: Tensor | None) -> "TapeReading":
        """Read for a batch of sequences.

        Args:
            positions: [batch, time] bool, where there are symbols.
            gold: [batch, time], the right answers; None if they are not to be known.
        """
        shown = torch.zeros_like(positions)
        if gold is not None and self.training and self.gold_share:
            shown = torch.rand(positions.shape, device=positions.device) < self.gold_share
        return TapeReading(self, positions, gold, shown)


class TapeReading:
    """What was asked and answered at the steps of a batch.

    Args:
        reader: that asks.
        positions: [batch, time] bool, where there are symbols.
        gold: [batch, time], right answers.
        shown: [batch, time] bool, where the right answer replaces the memory's.
    """

    def __init__(
        self, reader: TapeReader, positions: Tensor, gold: Tensor | None, shown: Tensor
    ) -> None:
        self.reader, self.positions, self.gold, self.shown = reader, positions, gold, shown
        self.queries: list[Tensor] = []
        self.hits: list[MemoryHits] = []

    def ask(self, place: Tensor) -> Tensor | None:
        """Places of the queries [batch, m] -> what goes to the tape [batch, m], if anything."""
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
        """All of it, in the order of [batch, time], for states [batch, time, m] of the softmax."""
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
        log_weights, gate = self.reader.weigh(hits, seen)
        return MemoryReading(memory, query, hits, positions, log_weights, gate, seen)
