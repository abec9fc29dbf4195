"""The corpora that a memory was filled with: who wrote a slot, if it was not a lesson.

The origin of a slot is the number of a lesson, or of a line of a corpus. The corpora of a memory
are numbered from 1. Line l of corpus c, counted from 0, has the number c * LINES + l; the numbers
of lessons are smaller. A checkpoint contains the names of its corpora.
"""

from dataclasses import dataclass, field
from typing import Any

LINES = 1 << 32  # more than the lines of any corpus, and than the numbers of all lessons
UNNAMED = "corpus"
ENTRY = "corpora"  # of a checkpoint's extra_state


@dataclass
class Corpora:
    """The corpora of a memory.

    Attributes:
        names: in the order in which they were first written to the memory.
        texts: digest of the texts that belong to the checkpoint; empty if none were kept.
    """

    names: list[str] = field(default_factory=list)
    texts: str = ""

    @classmethod
    def of(cls, entries: dict[str, Any]) -> "Corpora":
        """Return those that are named in the entries of a file; none if they are damaged.

        Args:
            entries: ``extra_state`` of a checkpoint, or ``extra`` of a snapshot.
        """
        match entries.get(ENTRY):
            case {"names": [*names], "texts": str(texts)} if all(isinstance(n, str) for n in names):
                return cls(names, texts)
        return cls()

    def entries(self) -> dict[str, Any]:
        """Return the entries from which :meth:`of` reads them."""
        return {ENTRY: {"names": list(self.names), "texts": self.texts}}

    def save(self, state: dict[str, Any]) -> None:
        """Name them in a checkpoint."""
        state["extra_state"] = (state.get("extra_state") or {}) | self.entries()

    def origin(self, name: str) -> int:
        """Return the origin of the first line of a corpus, which is added if it is new."""
        if name not in self.names:
            self.names.append(name)
        return (self.names.index(name) + 1) * LINES

    def describe(self, origin: int) -> str:
        """Return the corpus and the line of an origin, for people."""
        corpus, line = divmod(origin, LINES)
        if origin < 0:
            return UNNAMED
        name = self.names[corpus - 1] if 0 < corpus <= len(self.names) else UNNAMED
        return f"{name}, line {line + 1}"


def corpora_of(state: dict[str, Any]) -> Corpora:
    """Return the corpora of a checkpoint's memory; none if it does not name them."""
    return Corpora.of(state.get("extra_state") or {})
