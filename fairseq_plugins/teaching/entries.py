"""The entries of files of lessons, and a report on their import."""

import codecs
import contextlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

from fairseq_plugins.errors import InputError
from fairseq_plugins.teaching.lessons import Pair

LONGEST_TEXT = 20_000  # characters of an entry
SHOWN = 100  # skipped entries in a report
COLUMNS = [field.name for field in fields(Pair)]
NO_TEXT = re.compile("[\0\ud800-\udfff\ufffd]")  # U+FFFD marks bytes that are not text
ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True)
class Entry:
    """One entry of a file.

    Attributes:
        line: its first line, from 1.
        pair: its contents; None if there is nothing to teach.
        reason: why there is nothing to teach.
        bad: whether this is an error in the file, not only an entry without use here.
    """

    line: int
    pair: Pair | None = None
    reason: str = ""
    bad: bool = False


@dataclass
class ImportReport:
    """The result of an import."""

    read: int = 0
    """Entries."""
    taught: int = 0
    known: int = 0
    """Entries that were already taught."""
    skipped: int = 0
    reasons: list[tuple[int, str]] = field(default_factory=list)
    """Line and reason of the first skipped entries."""

    def skip(self, entry: Entry) -> None:
        """Count an entry that is not taught."""
        self.skipped += 1
        if len(self.reasons) < SHOWN:
            self.reasons.append((entry.line, entry.reason))

    def __str__(self) -> str:
        """Return one line for people."""
        return (
            f"{self.read:,} read, {self.taught:,} taught, {self.known:,} already known, "
            f"{self.skipped:,} skipped"
        )


def checked(entry: Entry) -> Entry:
    """Return the entry, or one with a reason if there is nothing to teach in it."""
    pair = entry.pair
    if pair is None:
        return entry
    texts = {name: " ".join(getattr(pair, name).split()) for name in COLUMNS}
    if len("".join(texts.values())) > LONGEST_TEXT:
        return Entry(entry.line, reason=f"longer than {LONGEST_TEXT:,} characters", bad=True)
    if any(NO_TEXT.search(text) for text in texts.values()):
        return Entry(entry.line, reason="contains a NUL, or bytes that are not UTF-8", bad=True)
    if not texts["source"] or not texts["target"]:
        return Entry(entry.line, reason="lacks a source or a target")
    if not ISO_TIME.fullmatch(texts["created"]):
        texts["created"] = ""
    return Entry(entry.line, Pair(**texts))


def code(language: str) -> str:
    """Return a language code in a form for comparison: ``pt-br`` for ``pt_BR``."""
    return language.strip().lower().replace("_", "-")


def main_code(language: str) -> str:
    """Return the code without region or script: ``pt`` for ``pt-BR``."""
    return code(language).split("-")[0]


def text_lines(path: Path | None) -> Iterator[str]:
    """Yield the lines of a UTF-8 text, without line ends.

    Args:
        path: of the text; None for standard input.

    Raises:
        InputError: at the first line that is not UTF-8.
    """
    with contextlib.nullcontext(sys.stdin.buffer) if path is None else path.open("rb") as file:
        for number, line in enumerate(iter(file.readline, b""), 1):
            line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            try:
                yield line.decode().removesuffix("\n").removesuffix("\r")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{path or 'standard input'}, line {number}: not UTF-8; convert it"
                ) from error
