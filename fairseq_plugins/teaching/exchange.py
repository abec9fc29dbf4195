"""Reads and writes lessons in files of other programs.

TMX, TSV, CSV and JSON lines are read and written; TBX and XLIFF are read. All are streamed: their
contents are never in memory at once.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from fairseq_plugins.atomic import replacing_text
from fairseq_plugins.errors import InputError
from fairseq_plugins.teaching.entries import Entry, checked, code, main_code
from fairseq_plugins.teaching.exchange_tables import READERS as TABLE_READERS
from fairseq_plugins.teaching.exchange_tables import WRITERS as TABLE_WRITERS
from fairseq_plugins.teaching.exchange_xml import READERS as XML_READERS
from fairseq_plugins.teaching.exchange_xml import Unit, XMLError, tmx_document
from fairseq_plugins.teaching.lessons import Lesson, Pair

WRITERS = {".tmx": tmx_document} | TABLE_WRITERS
SUFFIXES = (*XML_READERS, *TABLE_READERS)  # of files that can be read


class FaultyFileError(InputError):
    """A file has an error.

    Attributes:
        line: with the error.
        reason: what is wrong.
    """

    def __init__(self, path: Path, entry: Entry) -> None:
        super().__init__(
            f"{path}, line {entry.line}: {entry.reason}; nothing was taught. Correct the file, "
            "or import the rest of it with --keep-going"
        )
        self.line, self.reason = entry.line, entry.reason


def read_entries(path: Path, languages: tuple[str, str]) -> Iterator[Entry]:
    """Yield the entries of a file, in their order.

    Args:
        path: whose suffix determines the format: .tmx .tbx .xlf .xliff .tsv .csv .jsonl.
        languages: of source and target; ``de`` also matches ``de-AT``.

    Raises:
        InputError: if the format is unknown.
        OSError: if the file cannot be opened.
    """
    suffix = path.suffix.lower()
    if suffix in XML_READERS:
        return _of_units(XML_READERS[suffix](path), languages)
    if suffix in TABLE_READERS:
        return map(checked, TABLE_READERS[suffix](path, languages))
    raise InputError(
        f"{path}: its format is not known; lessons are read from files that end in "
        f"{', '.join(SUFFIXES)}"
    )


def check_entries(path: Path, languages: tuple[str, str], keep_going: bool = False) -> int:
    """Read a file to its end, to find errors before anything from it is taught.

    Args:
        path: of the file.
        languages: of source and target.
        keep_going: accept a file with errors.

    Returns:
        The number of entries.

    Raises:
        FaultyFileError: if it has errors; names the first one.
    """
    count = 0
    for entry in read_entries(path, languages):
        count += 1
        if entry.bad and not keep_going:
            raise FaultyFileError(path, entry)
    return count


def write_lessons(path: Path, lessons: Iterable[Lesson], languages: tuple[str, str]) -> int:
    """Write lessons to a file, completely or not at all.

    Args:
        path: whose suffix determines the format: .tmx .tsv .csv .jsonl.
        lessons: in the order in which to write them.
        languages: of source and target.

    Returns:
        The number of lessons.

    Raises:
        InputError: if the format is unknown.
        OSError: if it cannot be written.
    """
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise InputError(
            f"{path}: its format is not known; lessons are written to files that end in "
            f"{', '.join(WRITERS)}"
        )
    count = 0

    def named() -> Iterator[tuple[str, Pair]]:
        nonlocal count
        for lesson in lessons:
            yield lesson.unit or str(lesson.id), lesson
            count += 1

    with replacing_text(path) as file:
        file.writelines(writer(named(), languages))
    return count


def _of_units(units: Iterator[Unit], languages: tuple[str, str]) -> Iterator[Entry]:
    """Yield a pair for each source of a unit; all synonyms get the preferred translation."""
    try:
        for unit in units:
            sources, targets = (_in_language(unit.texts, language) for language in languages)
            if unit.reason or not sources or not targets:
                missing = languages[0] if not sources else languages[1]
                yield Entry(unit.line, reason=unit.reason or f"has no text in {missing}")
                continue
            for source in sources:
                pair = Pair(source=source, target=targets[0], **unit.about)
                yield checked(Entry(unit.line, pair))
    except XMLError as error:
        yield Entry(error.line, reason=error.reason, bad=True)


def _in_language(texts: Mapping[str, list[str]], language: str) -> list[str]:
    """Return the texts in a language, or in one of its regions, or in its main language."""
    main = main_code(language)
    by_code = {code(found): text for found, text in texts.items()}
    regions = (found for found in by_code if main_code(found) == main)
    return next((by_code[one] for one in (code(language), main, *regions) if one in by_code), [])
