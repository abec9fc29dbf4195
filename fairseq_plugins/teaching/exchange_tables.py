"""Lessons in comma- or tab-separated tables and in JSON lines, in UTF-8 or UTF-16."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from fairseq_plugins.teaching.entries import COLUMNS, Entry, main_code
from fairseq_plugins.teaching.lessons import Pair

LONGEST_LINE = 1 << 20  # characters
# Other names of the columns of tables, in lower case.
ALIASES = {
    "source": ("source", "src", "source text", "source term", "original"),
    "target": ("target", "tgt", "trg", "target text", "target term", "translation"),
    "origin": ("origin",),
    "note": ("note", "notes", "comment", "comments"),
    "author": ("author",),
    "unit": ("unit", "id"),
    "created": ("created", "date"),
}


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text with their ends; bytes that are not text become U+FFFD."""
    with path.open("rb") as file:
        encoding = _encoding(file.read(3))
        file.seek(0)
        text = io.TextIOWrapper(file, encoding, errors="replace", newline="\n")
        while line := text.readline(LONGEST_LINE):
            yield line


def _encoding(begin: bytes) -> str:
    """Detect the encoding by the byte order mark, or by the zeros of Latin letters in UTF-16."""
    if begin[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if begin[:1] == b"\0":
        return "utf-16-be"
    return "utf-16-le" if begin[1:2] == b"\0" else "utf-8-sig"


def _json_lines(path: Path, languages: tuple[str, str]) -> Iterator[Entry]:
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Entry(number, reason=f"not JSON ({error})", bad=True)
            continue
        if not isinstance(found, dict) or not {"source", "target"} <= found.keys():
            yield Entry(number, reason='not an object with "source" and "target"', bad=True)
            continue
        texts = {name: found[name] for name in COLUMNS if name in found}
        if wrong := [name for name, text in texts.items() if not isinstance(text, str)]:
            yield Entry(number, reason=f'"{wrong[0]}" is not a text', bad=True)
            continue
        yield Entry(number, Pair(**texts))


def _table(
    languages: tuple[str, str], rows: Iterator[tuple[int, list[str] | str]]
) -> Iterator[Entry]:
    """Yield the pairs of the rows of a table, with or without a header."""
    columns: dict[str, int] = {"source": 0, "target": 1}
    for first, (number, cells) in enumerate(rows):
        if isinstance(cells, str):
            yield Entry(number, reason=cells, bad=True)
            continue
        if first == 0 and (header := _header(cells, languages)):
            columns = header
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) <= max(columns["source"], columns["target"]):
            reason = f"has {len(cells)} column(s), too few for a source and a target"
            yield Entry(number, reason=reason, bad=True)
            continue
        texts = {name: cells[place] for name, place in columns.items() if place < len(cells)}
        yield Entry(number, Pair(**texts))


def _header(cells: Sequence[str], languages: tuple[str, str]) -> dict[str, int] | None:
    """Return the meaning of each column, if a row names at least source and target."""
    names = [cell.strip().lower() for cell in cells]
    mains = [main_code(name) for name in names]
    columns = {}
    for column, aliases in ALIASES.items():
        places = [place for place, name in enumerate(names) if name in aliases]
        if not places and column in ("source", "target"):
            language = main_code(languages[column == "target"])
            places = [place for place, main in enumerate(mains) if main == language]
        if places:
            columns[column] = places[0]
    return columns if {"source", "target"} <= columns.keys() else None


def _csv_rows(path: Path, languages: tuple[str, str]) -> Iterator[tuple[int, list[str] | str]]:
    lines = _lines(path)
    first = next(lines, "")
    reader = csv.reader(chain([first], lines), delimiter=_delimiter(first, languages), strict=True)
    begin = 1
    try:
        for cells in reader:
            yield begin, cells
            begin = reader.line_num + 1
    except csv.Error as error:
        yield begin, f"not CSV from here on ({error})"


def _delimiter(line: str, languages: tuple[str, str]) -> str:
    """Return the delimiter that makes the first line a header, or the first one in it."""
    for delimiter in ",;\t":
        if _header(next(csv.reader([line], delimiter=delimiter), []), languages):
            return delimiter
    return next((delimiter for delimiter in ",;\t" if delimiter in line), ",")


def _csv(path: Path, languages: tuple[str, str]) -> Iterator[Entry]:
    return _table(languages, _csv_rows(path, languages))


def _tsv(path: Path, languages: tuple[str, str]) -> Iterator[Entry]:
    rows = (
        (number, [_unquoted(cell) for cell in line.rstrip("\r\n").split("\t")])
        for number, line in enumerate(_lines(path), 1)
    )
    return _table(languages, rows)


def _unquoted(cell: str) -> str:
    """Return a cell without the quotation marks around it; others belong to the text."""
    found = re.fullmatch('"((?:[^"]|"")*)"', cell)
    return found[1].replace('""', '"') if found else cell


READERS: dict[str, Callable[[Path, tuple[str, str]], Iterator[Entry]]] = {
    ".tsv": _tsv,
    ".csv": _csv,
    ".jsonl": _json_lines,
}


def _csv_document(pairs: Iterator[tuple[str, Pair]], languages: tuple[str, str]) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    writer.writerow(COLUMNS)
    for id, pair in pairs:
        writer.writerow((vars(pair) | {"unit": id})[name] for name in COLUMNS)
        yield line.getvalue()
        line.seek(0)
        line.truncate()
    yield line.getvalue()


def _tsv_document(pairs: Iterator[tuple[str, Pair]], languages: tuple[str, str]) -> Iterator[str]:
    yield "\t".join(COLUMNS) + "\n"
    for id, pair in pairs:
        cells = ((vars(pair) | {"unit": id})[name] for name in COLUMNS)
        yield "\t".join(_quoted(" ".join(cell.split())) for cell in cells) + "\n"


def _quoted(cell: str) -> str:
    """Return a cell from which :func:`_unquoted` gives this text."""
    return '"' + cell.replace('"', '""') + '"' if cell.startswith('"') else cell


def _json_document(pairs: Iterator[tuple[str, Pair]], languages: tuple[str, str]) -> Iterator[str]:
    for id, pair in pairs:
        texts = {name: (vars(pair) | {"unit": id})[name] for name in COLUMNS}
        yield json.dumps(texts, ensure_ascii=False) + "\n"


WRITERS: dict[str, Callable[[Iterator[tuple[str, Pair]], tuple[str, str]], Iterator[str]]] = {
    ".tsv": _tsv_document,
    ".csv": _csv_document,
    ".jsonl": _json_document,
}
