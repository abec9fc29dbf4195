"""Checks and cleans line-aligned parallel text, and reports what was dropped and why.

Every line is brought to Unicode NFC, control characters become spaces and runs of white space
become one space. Training pairs that would harm are dropped; development and test pairs never
are, because a score is only comparable on all of them: for these the report warns.
"""

import hashlib
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from data_prep.files import count_lines, read_lines
from data_prep.program import DataError

EXAMPLES = 5  # shown for each reason
EXAMPLE_WIDTH = 100  # characters of a line that the report quotes
# Added to both lengths before they are compared: "Yes." and "Selbstverständlich." are a fine
# pair, ten times as long ones of the same ratio are not.
RATIO_SMOOTHING = 10  # characters


@dataclass(frozen=True)
class CleaningOptions:
    """What to keep of the training text. The defaults drop a pair only if it is hardly usable."""

    max_words: int = 250
    """Sentence-aligned text has hardly any longer lines; they would fill a batch alone."""
    max_characters: int = 2000
    """The same limit for text without spaces, and for junk without any."""
    max_ratio: float = 4.0
    """Longer to shorter side, in characters + 10: beyond, one side is not a translation."""
    keep_duplicates: bool = False
    """Keep repeated training pairs and those that are also in the development or test text."""


@dataclass(frozen=True)
class Corpus:
    """Line-aligned text: one or more pairs of files that are read one after the other."""

    name: str
    pairs: Sequence[tuple[Path, Path]]

    @property
    def files(self) -> list[Path]:
        return [path for pair in self.pairs for path in pair]


@dataclass
class Report:
    """How many pairs were read and kept, and what was found, with examples."""

    read: int = 0
    kept: int = 0
    found: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, reason: str, where: str, source: str, target: str) -> None:
        """Count a pair under a reason, and quote it if it is among the first."""
        entry = self.found.setdefault(reason, {"count": 0, "examples": []})
        entry["count"] += 1
        if len(entry["examples"]) < EXAMPLES:
            quoted = {"source": source[:EXAMPLE_WIDTH], "target": target[:EXAMPLE_WIDTH]}
            entry["examples"].append({"where": where, **quoted})

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON-serialisable data."""
        return {"read": self.read, "kept": self.kept, "found": self.found}

    def summary(self, name: str) -> Iterator[str]:
        """Yield the report as lines to be read."""
        verdict = "dropped" if self.kept < self.read else "kept, but suspicious"
        yield f"{name}: {self.kept:,} of {self.read:,} pairs kept"
        for reason, entry in sorted(self.found.items(), key=lambda item: -item[1]["count"]):
            yield f"  {verdict}: {entry['count']:,} {reason}"
            for example in entry["examples"]:
                yield f"    {example['where']}: {example['source']} ||| {example['target']}"


def normalise(line: str) -> str:
    """Bring a line to NFC, and control characters and runs of white space to one space."""
    if not line.isprintable():  # a quick test that nearly all lines pass
        line = "".join(" " if unicodedata.category(sign) == "Cc" else sign for sign in line)
    return " ".join(unicodedata.normalize("NFC", line).split())


def check_alignment(corpus: Corpus) -> int:
    """Check that the two files of each pair have as many lines, and that there are any.

    Returns:
        The number of line pairs.

    Raises:
        DataError: If a file is empty or the two counts differ.
    """
    total = 0
    for source, target in corpus.pairs:
        counts = count_lines(source), count_lines(target)
        for path, count in zip((source, target), counts, strict=True):
            if count == 0:
                raise DataError(f"{path}: empty file; {corpus.name} text needs at least one line")
        if counts[0] != counts[1]:
            raise DataError(
                f"{source} has {counts[0]} lines but {target} has {counts[1]}: "
                "line N of one must be the translation of line N of the other"
            )
        total += counts[0]
    return total


def read_pairs(corpus: Corpus) -> Iterator[tuple[str, str, str]]:
    """Yield (source, target, where) of every line pair, normalised, with a progress bar."""
    total = check_alignment(corpus)
    with tqdm(total=total, desc=f"reading {corpus.name}", unit=" pairs", disable=None) as bar:
        for source_path, target_path in corpus.pairs:
            both = zip(read_lines(source_path), read_lines(target_path), strict=True)
            for number, (source, target) in enumerate(both, start=1):
                yield normalise(source), normalise(target), f"{source_path}:{number}"
                bar.update()


def fault(source: str, target: str, options: CleaningOptions) -> str | None:
    """Say what is wrong with a normalised pair by itself, or None if it is fine."""
    if not source or not target:
        return "empty"
    lengths = sorted((len(source), len(target)))
    words = max(source.count(" "), target.count(" ")) + 1
    if words > options.max_words or lengths[1] > options.max_characters:
        return "too long"
    if lengths[1] + RATIO_SMOOTHING > options.max_ratio * (lengths[0] + RATIO_SMOOTHING):
        return "length ratio"
    return None


def pair_hash(source: str, target: str) -> bytes:
    """Return 8 bytes that stand for a pair: a set of these fits memory for any corpus."""
    return hashlib.blake2b(f"{source}\n{target}".encode(), digest_size=8).digest()


@contextmanager
def _pair_writer(prefix: Path, suffixes: tuple[str, str]) -> Iterator[Callable[[str, str], None]]:
    """Open PREFIX.SUFFIX for both languages and yield a function that writes a pair."""
    paths = [prefix.with_name(f"{prefix.name}.{suffix}") for suffix in suffixes]
    with (
        paths[0].open("w", encoding="utf-8") as sources,
        paths[1].open("w", encoding="utf-8") as targets,
    ):

        def write(source: str, target: str) -> None:
            sources.write(source + "\n")
            targets.write(target + "\n")

        yield write


class Cleaner:
    """Writes cleaned corpora, development and test text first, and keeps their reports.

    Args:
        options: What to keep of the training text.
        suffixes: Ends of the two files' names that are written, "en" and "de" say.
    """

    def __init__(self, options: CleaningOptions, suffixes: tuple[str, str]) -> None:
        self.options = options
        self.suffixes = suffixes
        self.reports: dict[str, Report] = {}
        self._evaluation: set[bytes] = set()

    def write_evaluation(self, corpus: Corpus, folder: Path) -> None:
        """Write a development or test corpus whole, and report what looks wrong with it."""
        report = self.reports[corpus.name] = Report()
        with _pair_writer(folder / corpus.name, self.suffixes) as write:
            for source, target, where in read_pairs(corpus):
                report.read += 1
                if reason := fault(source, target, self.options):
                    report.add(reason, where, source, target)
                self._evaluation.add(pair_hash(source, target))
                report.kept += 1
                write(source, target)

    def write_training(self, corpus: Corpus, folder: Path) -> None:
        """Write what is fit for training.

        Raises:
            DataError: If nothing is left.
        """
        report = self.reports[corpus.name] = Report()
        seen: set[bytes] = set()
        with _pair_writer(folder / corpus.name, self.suffixes) as write:
            for source, target, where in read_pairs(corpus):
                report.read += 1
                reason = fault(source, target, self.options)
                if reason is None and not self.options.keep_duplicates:
                    hash_ = pair_hash(source, target)
                    if hash_ in self._evaluation:
                        reason = "also in development or test text"
                    elif hash_ in seen:
                        reason = "duplicate"
                    seen.add(hash_)
                if reason:
                    report.add(reason, where, source, target)
                    continue
                report.kept += 1
                write(source, target)
        if report.kept == 0:
            raise DataError(
                f"{corpus.files[0]}: no usable pair left of {report.read} after cleaning"
            )
