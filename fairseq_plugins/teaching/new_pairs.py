"""The pairs of a file that are not taught yet."""

from collections.abc import Sequence
from dataclasses import replace

from fairseq_plugins.teaching.entries import Entry, ImportReport
from fairseq_plugins.teaching.journal import Journal
from fairseq_plugins.teaching.lessons import Pair, normalised
from fairseq_plugins.teaching.taught_memory import TaughtMemory


class NewPairs:
    """Chooses the entries of a file that are to be taught, and reports on the others.

    Args:
        taught: the memory that will be taught.
        journal: of its lessons.
        name: of the file, the origin of lessons that have no other.
        origin: of all lessons; None for that in the file, or its name.

    Attributes:
        report: on all entries so far.
    """

    def __init__(
        self, taught: TaughtMemory, journal: Journal, name: str, origin: str | None
    ) -> None:
        self._taught, self._journal = taught, journal
        self._name, self._origin = name, origin
        self.report = ImportReport()

    def of(self, entries: Sequence[Entry]) -> list[Pair]:
        """Return the pairs of entries that are not taught yet."""
        new: list[Pair] = []
        targets: dict[str, set[str]] = {}  # of each source
        for entry in entries:
            self.report.read += 1
            if entry.pair is None:
                self.report.skip(entry)
                continue
            pair = normalised(entry.pair)
            if wrong := self._taught.fault(pair):
                self.report.skip(replace(entry, reason=wrong))
                continue
            if pair.source not in targets:
                targets[pair.source] = self._targets(pair.source)
            if pair.target in targets[pair.source]:
                self.report.known += 1
                continue
            targets[pair.source].add(pair.target)
            given = pair.origin or self._name if self._origin is None else self._origin
            new.append(replace(pair, origin=given))
        return new

    def _targets(self, source: str) -> set[str]:
        """Return the targets that are taught for a source, also those that do not apply."""
        if self._taught.lesson(source) is None:
            return set()
        return {lesson.target for lesson in self._journal.of_source(source)}
