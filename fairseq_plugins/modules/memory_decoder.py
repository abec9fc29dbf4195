"""The interface between a decoder with a memory and the rest of the project.

Criterions, and programs that teach, reach a decoder's memory in three ways only: through the
``MemoryReading`` at ``extra["memory"]`` of its output, which is missing while the memory does not
take part; through the number of updates after which it does; and through the two contexts below.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from fairseq_plugins.modules.memory_reader import MemoryReader
from fairseq_plugins.modules.memory_reading import MemoryReading
from fairseq_plugins.modules.term_reader import TermReader


class MemoryDecoder:
    """A decoder that queries a memory; inherit it in addition to fairseq's decoder.

    Attributes:
        reader: queries the memory and uses its answers; None if there is no memory.
        joins_at: updates after which the memory takes part.
        asks: whether the memory takes part. If not, ``extra`` has no ``"memory"``.
        searches: whether queries are answered. If not, the readings have no hits, and the output is
            that of the network alone.
        sure: probability of the softmax's best word from which the memory is not asked when tokens
            are generated one at a time; 1 to ask it always.
    """

    reader: MemoryReader | None
    joins_at = 0
    asks = True
    searches = True
    sure = 1.0

    def ask(
        self, source: Tensor, state: Tensor, positions: Tensor, encoder_out: dict, stepwise: bool
    ) -> tuple[Tensor, MemoryReading]:
        """Query the memory at all positions of all sentences at once.

        Args:
            source: [batch, time, query_dim], projected to the queries.
            state: [batch, time, state_dim].
            positions: [batch, time] bool, where to query.
            encoder_out: with the ``terms`` that the source calls, or None.
            stepwise: whether tokens are generated one at a time.

        Returns:
            The state including what was read, and the reading.
        """
        assert self.reader is not None
        sure = self.sure if stepwise else 1.0
        read: tuple[Tensor, MemoryReading] = self.reader(
            source, state, positions, self.searches, sure, encoder_out["terms"]
        )
        return read

    def set_num_updates(self, num_updates: int) -> None:
        """Let the memory take part when it is time; fairseq calls this at every update."""
        self.asks = num_updates >= self.joins_at

    @contextmanager
    def without_memory(self) -> Iterator[None]:
        """Decode without the memory within this context."""
        asked, self.asks = self.asks, False
        try:
            yield
        finally:
            self.asks = asked

    @contextmanager
    def questions_only(self) -> Iterator[None]:
        """Compute queries within this context, but skip the search and the look-up of terms.

        This has no effect if queries depend on earlier answers.
        """
        terms: TermReader | None = getattr(self, "terms", None)
        self.searches = self.reader is None or self.reader.feeds_back
        if terms is not None:
            terms.asks = self.searches
        try:
            yield
        finally:
            self.searches = True
            if terms is not None:
                terms.asks = True
