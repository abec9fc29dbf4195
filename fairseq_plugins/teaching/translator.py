"""A translator in use: it translates, learns lessons, is corrected, explains itself and forgets.

Example::

    with Translator.open("my-translator") as translator:
        translator.translate("The cat sleeps.").text
        translator.teach("The cat sleeps.", "Die Katze schläft.")
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

from fairseq_plugins.errors import InputError
from fairseq_plugins.progress import Progress
from fairseq_plugins.teaching.about import open_journal, read_about
from fairseq_plugins.teaching.check import Check, holds
from fairseq_plugins.teaching.entries import ImportReport
from fairseq_plugins.teaching.exchange import check_entries, read_entries, write_lessons
from fairseq_plugins.teaching.folder import CHECKPOINT, load_vocabularies
from fairseq_plugins.teaching.lessons import (
    EVERYTHING,
    Change,
    Lesson,
    Pair,
    Selection,
    normalised,
)
from fairseq_plugins.teaching.network import Network
from fairseq_plugins.teaching.new_pairs import NewPairs
from fairseq_plugins.teaching.sentences import Sentences
from fairseq_plugins.teaching.taught_memory import AT_ONCE, TaughtMemory, in_parts
from fairseq_plugins.teaching.text import SHOWN
from fairseq_plugins.teaching.texts import Texts
from fairseq_plugins.teaching.translation import FUZZY, Translation

BEAM = 5


class Translator:
    """A translator folder in use.

    Everything that is taught, edited or forgotten is on the disk when the call returns. Before
    every answer, the translator catches up with what other processes did to the same lessons. Calls
    from several threads wait for each other.

    Args:
        folder: created by :func:`~.folder.pack`.
        device: to compute on.

    Raises:
        InputError: if it is not a translator folder, or damaged.
    """

    def __init__(self, folder: Path | str, device: str = "cpu") -> None:
        self.folder = Path(folder)
        self.about = read_about(self.folder)
        self._network = Network(self.folder, self.about, device)
        if self._network.fingerprint != self.about.fingerprint:
            raise InputError(
                f"{self.folder}: its parts are not those that it was packed with; pack it again, "
                "and move its lessons.db there"
            )
        source, target = load_vocabularies(self.folder, self._network.task)
        self._sentences = Sentences(self._network, source, target)
        self._journal = open_journal(self.folder)
        self._texts = Texts(self.folder / CHECKPOINT, self._network.corpora.texts)
        self._taught = TaughtMemory(self._network, source, target, self._journal, self._texts)
        self._lock = threading.RLock()
        self._taught.follow()

    @classmethod
    def open(cls, folder: Path | str, device: str = "cpu") -> "Translator":
        """Open a translator folder."""
        return cls(folder, device)

    def close(self) -> None:
        """Close the lessons. Everything is already on the disk."""
        self._journal.close()
        self._texts.close()

    def __enter__(self) -> "Translator":
        """Return the translator, for a with statement."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the translator."""
        self.close()

    @property
    def languages(self) -> tuple[str, str]:
        """Languages of source and target."""
        return self.about.source, self.about.target

    # --- Translating --------------------------------------------------------------------------

    @overload
    def translate(self, text: str, **how: Any) -> Translation: ...
    @overload
    def translate(self, text: Sequence[str], **how: Any) -> list[Translation]: ...
    def translate(self, text: str | Sequence[str], **how: Any) -> Translation | list[Translation]:
        """Translate texts of any length; white space, line ends, tags and placeholders are kept.

        Args:
            text: one text or several.
            how: ``beam``, the width of the search, 5 by default; ``exact``, whether a taught
                sentence is translated as it was taught, True by default; ``fuzzy``, the least
                similarity (0 to 1) of lessons to list, none by default.
        """
        found = self._translate([text] if isinstance(text, str) else text, **how)
        return found[0] if isinstance(text, str) else found

    def explain(self, text: str, **how: Any) -> Translation:
        """Translate a text, and explain where every word comes from.

        Args:
            text: of any length.
            how: as in :meth:`translate`.
        """
        return self._translate([text], explain=True, **how)[0]

    def _translate(
        self,
        texts: Sequence[str],
        beam: int = BEAM,
        exact: bool = True,
        fuzzy: float | None = None,
        explain: bool = False,
    ) -> list[Translation]:
        if beam < 1:
            raise InputError(f"beam {beam}: a search needs at least 1 hypothesis")
        if fuzzy is not None and not 0 < fuzzy <= 1:
            raise InputError(f"fuzzy {fuzzy}: a similarity is above 0 and at most 1")
        with self._lock:
            self._taught.follow()
            taught = self._taught.lesson if exact else None
            known = self._taught if explain else None
            found = self._sentences.translate(texts, beam, taught, known)
            if explain and not self._network.mixes:
                alone = self._sentences.translate(texts, beam, taught, memory=False)
                found = [replace(a, alone=b.text) for a, b in zip(found, alone, strict=True)]
            if fuzzy is not None:
                found = [self._with_near(one, fuzzy) for one in found]
        return found

    def _with_near(self, found: Translation, least: float) -> Translation:
        """Add lessons with a source similar to the text, or to a sentence that was not taught."""
        cut = [
            one if one.lesson else replace(one, near=self._taught.near(one.source, least))
            for one in found.sentences
        ]
        near = [match for one in cut for match in one.near]
        if len(cut) > 1:
            near = self._taught.near(found.source, least) + near
        return replace(found, near=near, sentences=cut, match=FUZZY if near else found.match)

    # --- Teaching -----------------------------------------------------------------------------

    def teach(
        self, source: str, target: str, origin: str = "", note: str = "", author: str = ""
    ) -> Lesson:
        """Teach a pair, which the next translation uses.

        A pair that is already taught is not taught again.

        Args:
            source: sentence or term.
            target: its translation.
            origin: where it comes from.
            note: a comment for people.
            author: name of the teacher.

        Returns:
            The lesson, with the current translation of the source, and older lessons it
            contradicts.

        Raises:
            InputError: if a text is empty or too long.
        """
        pair = normalised(
            Pair(source=source, target=target, origin=origin, note=note, author=author)
        )
        with self._lock:
            self._taught.follow()
            if wrong := self._taught.fault(pair):
                raise InputError(f"{_short(pair.source)!r}: {wrong}")
            lesson = self._taught.lesson(pair.source)
            if lesson is None or lesson.target != pair.target:
                (lesson,), _ = self._journal.teach([pair], self._taught.decodings([pair]))
                self._taught.follow()
            return self._tested(lesson)

    def edit(
        self,
        lesson: int,
        *,
        source: str | None = None,
        target: str | None = None,
        origin: str | None = None,
        note: str | None = None,
        author: str | None = None,
    ) -> Lesson:
        """Change the texts of a lesson, which keeps its id.

        Args:
            lesson: its id.
            source: sentence or term; None to leave it unchanged, as for the others.
            target: its translation.
            origin: where it comes from.
            note: a comment for people.
            author: name of the teacher.

        Raises:
            InputError: if it is not taught, or a text is empty or too long.
        """
        given = {"source": source, "target": target, "origin": origin, "note": note}
        given["author"] = author
        changes: Any = {name: text for name, text in given.items() if text is not None}
        with self._lock:
            edited = normalised(replace(self._journal.lesson(lesson), **changes))
            if wrong := self._taught.fault(edited):
                raise InputError(f"lesson {lesson}: {wrong}")
            edited = self._journal.edit(edited, self._taught.decodings([edited]))
            self._taught.follow()
            return self._tested(edited)

    def forget(self, *lessons: int) -> None:
        """Forget lessons by their ids, all of them or none.

        Raises:
            InputError: if one is not taught.
        """
        with self._lock:
            self._journal.forget(lessons)
            self._taught.follow()

    def forget_all(self, selection: Selection, dry_run: bool = False) -> int:
        """Forget all selected lessons, as one change.

        Args:
            selection: which lessons.
            dry_run: whether only to count them.

        Returns:
            The number of lessons.
        """
        with self._lock:
            ids = [lesson.id for lesson in self._journal.lessons(selection)]
            if not dry_run:
                self.forget(*ids)
        return len(ids)

    def undo(self) -> Change:
        """Undo the last change that has not been undone yet, and return it.

        Raises:
            InputError: if there is none.
        """
        with self._lock:
            change = self._journal.undo()
            self._taught.follow()
        return change

    def _tested(self, lesson: Lesson) -> Lesson:
        """Return a lesson with the translation of its source by network and memory alone."""
        now = self._translate([lesson.source], exact=False)[0].text
        others = self._journal.of_source(lesson.source)
        return replace(
            lesson,
            now=now,
            came_through=holds(now, lesson.target),
            contradicts=tuple(
                other
                for other in others
                if other.version < lesson.version and other.target != lesson.target
            ),
        )

    # --- Looking ------------------------------------------------------------------------------

    def lesson(self, lesson: int) -> Lesson:
        """Return a lesson by its id.

        Raises:
            InputError: if it is not taught.
        """
        return self._journal.lesson(lesson)

    def lessons(
        self,
        selection: Selection = EVERYTHING,
        limit: int | None = None,
        offset: int = 0,
        **filters: str,
    ) -> list[Lesson]:
        """Return lessons, newest first.

        Args:
            selection: which lessons.
            limit: greatest number of lessons.
            offset: number of lessons to skip first.
            filters: more filters of :class:`Selection`, such as ``search="cat"``.

        Raises:
            InputError: if a time is invalid.
        """
        return list(self._journal.lessons(replace(selection, **filters), limit, offset))

    def count(self, selection: Selection = EVERYTHING, **filters: str) -> int:
        """Return the number of lessons, selected as in :meth:`lessons`."""
        return self._journal.count(replace(selection, **filters))

    def history(self, limit: int | None = None, before: int | None = None) -> list[Change]:
        """Return every change that was ever made, newest first.

        Args:
            limit: greatest number of changes.
            before: only changes with a smaller number.
        """
        return list(self._journal.history(limit, before))

    def contradictions(self) -> list[tuple[Lesson, Lesson]]:
        """Return lessons of one source with two targets: the newer, then the older."""
        return list(self._journal.contradictions())

    def check(self) -> Check:
        """Translate the sources of all lessons by network and memory alone, and compare."""
        with self._lock:
            self._taught.follow()
            lessons = self._taught.lessons()
            lost = []
            with Progress(total=len(lessons), desc="checking", unit=" lessons") as bar:
                for some in in_parts(lessons):
                    found = self._translate([lesson.source for lesson in some], exact=False)
                    for lesson, translation in zip(some, found, strict=True):
                        came = holds(translation.text, lesson.target)
                        if not came:
                            lost.append(replace(lesson, now=translation.text, came_through=False))
                    bar.update(len(some))
        return Check(len(lessons), lost, self.contradictions())

    # --- Files --------------------------------------------------------------------------------

    def import_file(
        self, path: Path | str, origin: str | None = None, keep_going: bool = False
    ) -> ImportReport:
        """Teach the contents of a file, as one change.

        Args:
            path: a .tmx, .tbx, .xlf, .xliff, .tsv, .csv or .jsonl file.
            origin: of the lessons; None for that in the file, or its name.
            keep_going: whether to import the readable part of a file with errors.

        Returns:
            A report.

        Raises:
            InputError: if the format is unknown, or the file has errors; then nothing is taught.
            OSError: if it cannot be opened.
        """
        path = Path(path)
        total = check_entries(path, self.languages, keep_going)
        report = ImportReport()
        with Progress(total=total, desc=f"teaching {path.name}", unit=" pairs") as bar:
            for report in self.import_parts(path, path.name, origin):
                bar.update(report.read - bar.n)
        return report

    def import_parts(
        self, path: Path, name: str, origin: str | None = None, at_once: int = AT_ONCE
    ) -> Iterator[ImportReport]:
        """Teach the readable part of a file in steps, between which others are served.

        Args:
            path: as in :meth:`import_file`.
            name: of the file, the origin of lessons that have no other.
            origin: of all of them; None for that in the file, or its name.
            at_once: entries in a step.

        Yields:
            The report so far, after each step: always the same object.
        """
        new, change = NewPairs(self._taught, self._journal, name, origin), None
        for entries in in_parts(read_entries(path, self.languages), at_once):
            with self._lock:
                self._taught.follow()
                if pairs := new.of(entries):
                    decodings = self._taught.decodings(pairs)
                    lessons, change = self._journal.teach(pairs, decodings, change)
                    new.report.taught += len(lessons)
                    self._taught.follow()
            yield new.report

    def export_file(self, path: Path | str, selection: Selection = EVERYTHING) -> int:
        """Write lessons to a .tmx, .tsv, .csv or .jsonl file, oldest first.

        Returns:
            The number of lessons.

        Raises:
            InputError: if the format is unknown.
            OSError: if it cannot be written.
        """
        lessons = self._journal.lessons(selection, oldest_first=True)
        return write_lessons(Path(path), lessons, self.languages)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."
