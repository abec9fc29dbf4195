"""What files of lessons hold, entry by entry, and what became of it."""

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
SHOWN = 100  # skipped entries that a report names
COLUMNS = [field.name for field in fields(Pair)]
NO_TEXT = re.compile("[\0\ud800-\udfff\ufffd]")  # U+FFFD stands for bytes that are not text
ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True)
class Entry:
    """One entry of a file.

    Attributes:
        line: where it begins, from 1.
        pair: what it says; None if there is nothing to teach.
        reason: why there is not.
        bad: whether that is a fault of the file, and not only of no use here.
    """

    line: int
    pair: Pair | None = None
    reason: str = ""
    bad: bool = False


@dataclass
class ImportReport:
    """What became of a file."""

    read: int = 0
    """Entries."""
    taught: int = 0
    known: int = 0
    """Entries that were taught already."""
    skipped: int = 0
    reasons: list[tuple[int, str]] = field(default_factory=list)
    """Line and reason of the first of them that were skipped."""

    def skip(self, entry: Entry) -> None:
        """Count an entry that is not taught."""
        self.skipped += 1
        if len(self.reasons) < SHOWN:
            self.reasons.append((entry.line, entry.reason))

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"{self.read:,} read, {self.taught:,} taught, {self.known:,} known already, "
            f"{self.skipped:,} skipped"
        )


def checked(entry: Entry) -> Entry:
    """The entry, unless there is nothing to teach in it."""
    pair = entry.pair
    if pair is None:
        return entry
    texts = {name: " ".join(getattr(pair, name).split()) for name in COLUMNS}
    if len("".join(texts.values())) > LONGEST_TEXT:
        return Entry(entry.line, reason=f"longer than {LONGEST_TEXT:,} characters", bad=True)
    if any(NO_TEXT.search(text) for text in texts.values()):
        return Entry(entry.line, reason="holds bytes that are not UTF-8", bad=True)
    if not texts["source"] or not texts["target"]:
        return Entry(entry.line, reason="has no source or no target")
    if not ISO_TIME.fullmatch(texts["created"]):
        texts["created"] = ""
    return Entry(entry.line, Pair(**texts))


def code(language: str) -> str:
    """Return the code of a language as it is compared: ``pt-br`` of ``pt_BR``."""
    return language.strip().lower().replace("_", "-")


def main_code(language: str) -> str:
    """Return the code without region or script: ``pt`` of ``pt-BR``."""
    return code(language).split("-")[0]


def text_lines(path: Path | None) -> Iterator[str]:
    """Yield the lines of a UTF-8 text, without their ends.

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
