"""What a decoder with a memory owes the rest of the project.

Criterions, and programs that teach, meet a decoder's memory in three ways only: as the
``MemoryReading`` at ``extra["memory"]`` of its output, which is not there while the memory has no
say; by the number of updates after which it has one; and by the two contexts below.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from fairseq_plugins.modules.memory_reader import MemoryReader


class MemoryDecoder:
    """A decoder that asks a memory; inherited beside fairseq's decoder.

    Attributes:
        reader: asks the memory and puts its answers to use; None if there is no memory.
        joins_at: updates after which the memory has a say.
        asks: whether it has one. If not, ``extra`` has no ``"memory"``.
        searches: whether what is asked is answered, too. If not, the readings have no hits, and
            the output is that of the network alone.
    """

    reader: MemoryReader | None
    joins_at = 0
    asks = True
    searches = True

    def set_num_updates(self, num_updates: int) -> None:
        """Let the memory join in when it is time; fairseq calls this at every update."""
        self.asks = num_updates >= self.joins_at

    @contextmanager
    def without_memory(self) -> Iterator[None]:
        """Decode, within this context, as if there were no memory."""
        asked, self.asks = self.asks, False
        try:
            yield
        finally:
            self.asks = asked

    @contextmanager
    def questions_only(self) -> Iterator[None]:
        """Ask, within this context, but search for no answers: that is most of the time.

        Has no effect if what is asked depends on what was answered before.
        """
        self.searches = self.reader is None or self.reader.feeds_back
        try:
            yield
        finally:
            self.searches = True
