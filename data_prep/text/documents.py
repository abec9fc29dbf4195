"""Documents with parallel text: tables (TSV, CSV), translation memories (TMX), WMT's SGML."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar
from xml.etree import ElementTree

from data_prep.core.archives import errors_of, opener
from data_prep.core.files import read_lines
from data_prep.core.program import DataError

XML_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
SEGMENT_BEGINS = re.compile("<seg", re.IGNORECASE | re.ASCII)
SEGMENT = re.compile("<seg[^>]*>(.*)</seg>", re.IGNORECASE | re.ASCII)
CODES = ("bpt", "ept", "it", "ph", "ut")  # of TMX: contain the formatting of another program
EMBEDDED = "sub"  # of TMX: a separate text within another, such as a footnote
SEPARATORS = ",;\t"  # of CSV; spreadsheets use a semicolon where the comma is a decimal sign
ROLES = ("source", "target")  # names of columns in headers, if not the languages
FIRST_TWO = (1, 2)  # columns
SAMPLED = 100  # lines from which to detect the separator of a CSV file
Language = str
Value = TypeVar("Value")


def read_sgm(path: Path) -> Iterator[str]:
    """Yield the segments of a WMT SGML file, in their order."""
    number = 0
    for number, line in enumerate(read_lines(path), start=1):
        if not SEGMENT_BEGINS.search(line):
            continue
        segment = SEGMENT.search(line)
        if segment is None:
            raise DataError(f"{path}, line {number}: a <seg> that does not end on its line")
        yield _unescape(segment[1].strip())
    if number == 0:
        raise DataError(f"{path}: empty file")


def _unescape(text: str) -> str:
    """Replace only the entities of WMT's files; the rest is text."""
    for entity, sign in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'")):
        text = text.replace(entity, sign)
    return text.replace("&amp;", "&")


def read_table(
    path: Path, kind: str, languages: Sequence[Language], columns: Sequence[int] | None = None
) -> Iterator[tuple[str, ...]]:
    """Yield two columns of a table.

    A first row that names both languages (`en` and `de`, or `source` and `target`) is a header.
    What is not UTF-8 becomes U+FFFD and is judged by the cleaning.

    Args:
        path: The file, plain or gzip.
        kind: `tsv` (values are between tabs, as they are) or `csv` (between commas, semicolons or
            tabs, with quotation marks around those that need them).
        languages: Of source and target.
        columns: The two to read, counted from 1; if not given, those that the header names, or the
            first two.

    Raises:
        DataError: If a row has too few columns, or the file is damaged.
    """
    rows = _tsv(path) if kind == "tsv" else _csv(path)
    wanted = columns or FIRST_TWO
    for index, (number, cells) in enumerate(rows):
        if index == 0 and (named := _header(cells, languages)):
            wanted = columns or named
            continue
        if len(cells) < max(wanted):
            between = "tabs" if kind == "tsv" else "commas, semicolons or tabs"
            raise DataError(
                f"{path}, line {number}: {len(cells)} columns, {max(wanted)} are needed; "
                f"columns are separated by {between}"
            )
        yield tuple(cells[column - 1] for column in wanted)


def _tsv(path: Path) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield line numbers and cells of tab-separated values."""
    for number, line in enumerate(read_lines(path, "replace"), start=1):
        yield number, line.split("\t")


def _csv(path: Path) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield line numbers and cells of comma-separated values, each cell as one line of text."""
    lines = (line + "\n" for line in read_lines(path, "replace"))
    number = 1
    try:
        first = list(islice(lines, SAMPLED))
        rows = csv.reader(chain(first, lines), delimiter=_separator(first), strict=True)
        for row in rows:
            if row:
                yield number, [" ".join(cell.split()) for cell in row]
            number = rows.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}, line {number}: not CSV ({error}); see that every cell that begins with a "
            'quotation mark ends with one, and that those within it are doubled ("")'
        ) from error


def _separator(lines: Sequence[str]) -> str:
    """Return the separator that divides all lines into the same number of columns."""
    for separator in SEPARATORS:
        rows = [row for row in csv.reader(lines, delimiter=separator) if row]
        whole = rows if len(lines) < SAMPLED else rows[:-1]  # a sample may end within a row
        widths = {len(row) for row in whole}
        if len(widths) == 1 and widths != {1}:
            return separator
    return SEPARATORS[0]


def _header(cells: Sequence[str], languages: Sequence[Language]) -> list[int]:
    """Return the columns of both languages, counted from 1, if the cells are a header."""
    columns = {_code(cell.strip()): column for column, cell in enumerate(cells, start=1)}
    for names in (languages, ROLES):
        found = [_in_language(columns, name) for name in names]
        if None not in found:
            return [column for column in found if column]
    return []


def read_tmx(path: Path, languages: Sequence[Language]) -> Iterator[tuple[str, ...]]:
    """Yield the segments of a translation memory (TMX, plain or gzip) that has all languages.

    ``de`` matches ``de-AT``, and ``pt-BR`` matches ``pt``, but never ``pt-PT``. Mark-up within a
    segment is left out. A text embedded in it (``<sub>``: a footnote, the text of a picture) is a
    separate segment, which follows if all languages have the same number of them.

    Raises:
        DataError: If the file is damaged, or not a translation memory.
    """
    with errors_of(path), opener(path)(path, "rb") as file:
        try:
            for _, unit in ElementTree.iterparse(file):
                if _local(unit) != "tu":
                    continue
                variants = _variants(unit)
                found = [_in_language(variants, language) for language in languages]
                segments = [texts for texts in found if texts is not None]
                if len(segments) == len(languages):
                    yield tuple(texts[0] for texts in segments)
                    if len({len(texts) for texts in segments}) == 1:
                        yield from zip(*(texts[1:] for texts in segments), strict=True)
                unit.clear()  # free the memory
        except ElementTree.ParseError as error:
            raise DataError(f"{path}, line {error.position[0]}: not TMX ({error})") from error
        except RecursionError as error:
            raise DataError(f"{path}: not TMX (elements are nested too deeply)") from error
        except (ValueError, LookupError) as error:  # encodings that the parser does not support
            raise DataError(f"{path}: {error}; save it as UTF-8") from error


def _variants(unit: ElementTree.Element) -> dict[Language, list[str]]:
    """Return the texts of a unit in each language: its segment, and the texts embedded in it."""
    variants: dict[Language, list[str]] = {}
    for variant in unit:
        language = variant.get(XML_LANGUAGE) or variant.get("lang")
        segment = next((part for part in variant if _local(part) == "seg"), None)
        if language and segment is not None:
            embedded = (part for part in segment.iter() if _local(part) == EMBEDDED)
            texts = [" ".join("".join(_text(part)).split()) for part in (segment, *embedded)]
            variants.setdefault(_code(language), texts)
    return variants


def _in_language(values: Mapping[Language, Value], language: Language) -> Value | None:
    """Return the value for a language, for one of its regions, or for its main language."""
    code = _code(language)
    others = [other for other in values if other.startswith(f"{code}-")]  # of its regions
    found = (values[one] for one in (code, *others, code.split("-")[0]) if one in values)
    return next(found, None)


def _code(language: Language) -> Language:
    return language.lower().replace("_", "-")


def _text(element: ElementTree.Element) -> Iterator[str]:
    """Yield the readable parts of a text, without codes and embedded texts."""
    yield element.text or ""
    for part in element:
        if _local(part) not in (*CODES, EMBEDDED):
            yield from _text(part)
        yield part.tail or ""


def _local(element: ElementTree.Element) -> str:
    """Return the name without a namespace."""
    return str(element.tag).rpartition("}")[2]
