"""Members of archives, and documents, as plain text files: one line a segment.

Member names never decide where anything is written, and links are never followed: a member is
streamed into a file that we name.
"""

import bz2
import gzip
import lzma
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any
from xml.etree import ElementTree

from data_prep.core.files import read_lines
from data_prep.core.program import DataError

SHOWN = 10  # members named if the wanted one is not there
DAMAGES = (EOFError, OSError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
           RuntimeError)  # of zip files that want a password  # fmt: skip
XML_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
PACKERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
SEGMENT_BEGINS = re.compile("<seg", re.IGNORECASE | re.ASCII)
SEGMENT = re.compile("<seg[^>]*>(.*)</seg>", re.IGNORECASE | re.ASCII)
CODES = ("bpt", "ept", "it", "ph", "ut")  # of TMX: they hold the formatting of another program
Language = str


def unpack(archive: Path, members: Mapping[str, Path]) -> None:
    """Write members of a tar file (plain, gzip, bzip2 or xz) or a zip file, in one pass.

    Args:
        archive: The file.
        members: Where each goes, by its name in the archive.

    Raises:
        DataError: If the archive is damaged or does not have them.
    """
    with _errors_of(archive):
        seen = (_unzip if zipfile.is_zipfile(archive) else _untar)(archive, members)
    missing = [name for name in members if name not in seen]
    if missing:
        others = ", ".join(seen[:SHOWN]) + (", ..." if len(seen) > SHOWN else "")
        raise DataError(f"{archive}: has no file {missing[0]!r}, but {others or 'none at all'}")


def _untar(archive: Path, members: Mapping[str, Path]) -> list[str]:
    seen = []
    # tarfile's own decompression takes a file that is cut short for one that ends.
    with _opener(archive)(archive, "rb") as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            name = PurePosixPath(member.name).as_posix()
            if not member.isreg():
                continue
            seen.append(name)
            if name in members:
                _copy(tar.extractfile(member), members[name])
                if set(members) <= set(seen):
                    break
    return seen


def _opener(archive: Path) -> Callable[..., Any]:
    """By the first bytes."""
    with archive.open("rb") as file:
        begin = file.read(max(map(len, PACKERS)))
    return next((opener for magic, opener in PACKERS.items() if begin.startswith(magic)), open)


def _unzip(archive: Path, members: Mapping[str, Path]) -> list[str]:
    with zipfile.ZipFile(archive) as file:
        seen = [info.filename for info in file.infolist() if not info.is_dir()]
        for name in set(members) & set(seen):
            with file.open(name) as stream:
                _copy(stream, members[name])
    return seen


def _copy(stream: IO[bytes] | None, path: Path) -> None:
    assert stream is not None, "a regular file"
    with path.open("wb") as file:
        shutil.copyfileobj(stream, file)


@contextmanager
def _errors_of(archive: Path) -> Iterator[None]:
    """Tell a damaged archive from a disk that is full: the latter has an errno."""
    try:
        yield
    except DAMAGES as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DataError(
            f"{archive}: damaged or cut short ({error}); remove it, and it is fetched again"
        ) from error


def is_archive(path: Path) -> bool:
    """Whether it has members: by its name, so that it need not be there yet."""
    return path.name.endswith((".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz"))


def read_sgm(path: Path) -> Iterator[str]:
    """Yield the segments of an SGML file of WMT's, in their order."""
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
    """Only the entities that WMT's files have: the rest is text."""
    for entity, sign in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'")):
        text = text.replace(entity, sign)
    return text.replace("&amp;", "&")


def read_tsv(path: Path, columns: Sequence[int]) -> Iterator[tuple[str, ...]]:
    """Yield the wanted columns, counted from 1, of a file of tab-separated values.

    What is not UTF-8 becomes U+FFFD, for the cleaning to judge.
    """
    for number, line in enumerate(read_lines(path, "replace"), start=1):
        cells = line.split("\t")
        if len(cells) < max(columns):
            raise DataError(
                f"{path}, line {number}: {len(cells)} columns, {max(columns)} are needed; "
                "columns are separated by tabs"
            )
        yield tuple(cells[column - 1] for column in columns)


def read_tmx(path: Path, languages: Sequence[Language]) -> Iterator[tuple[str, ...]]:
    """Yield the segments of a translation memory (TMX, plain or gzip) that has all languages.

    ``de`` finds ``de-AT``, too, and ``pt-BR`` finds ``pt``, but never ``pt-PT``. Mark-up within a
    segment is left out.
    """
    with _errors_of(path), _opener(path)(path, "rb") as file:
        try:
            for _, unit in ElementTree.iterparse(file):
                if _local(unit) != "tu":
                    continue
                texts = _variants(unit)
                found = [_in_language(texts, language) for language in languages]
                if None not in found:
                    yield tuple(map(str, found))
                unit.clear()  # what was read does not stay in memory
        except ElementTree.ParseError as error:
            raise DataError(f"{path}, line {error.position[0]}: not TMX ({error})") from error
        except ValueError as error:  # encodings of several bytes that the parser does not know
            raise DataError(f"{path}: {error}; write it anew in UTF-8") from error


def _variants(unit: ElementTree.Element) -> dict[Language, str]:
    texts: dict[Language, str] = {}
    for variant in unit:
        language = variant.get(XML_LANGUAGE) or variant.get("lang")
        segment = next((part for part in variant if _local(part) == "seg"), None)
        if language and segment is not None:
            text = " ".join("".join(_text(segment)).split())
            texts.setdefault(_code(language), text)
    return texts


def _in_language(texts: Mapping[Language, str], language: Language) -> str | None:
    code = _code(language)
    others = [other for other in texts if other.startswith(f"{code}-")]  # of its regions
    return next((texts[one] for one in (code, *others, code.split("-")[0]) if one in texts), None)


def _code(language: Language) -> Language:
    return language.lower().replace("_", "-")


def _text(element: ElementTree.Element) -> Iterator[str]:
    """What a reader sees of a segment."""
    if _local(element) not in CODES:
        yield element.text or ""
        for part in element:
            yield from _text(part)
            yield part.tail or ""


def _local(element: ElementTree.Element) -> str:
    """Its name without a namespace."""
    return str(element.tag).rpartition("}")[2]
