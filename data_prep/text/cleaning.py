"""Checks and cleans line-aligned parallel text, and reports what was dropped and why.

Every line is normalised to Unicode NFC, control characters become spaces and runs of white space
become one space. Training pairs that would do harm are dropped; development and test pairs never
are, because a score is only comparable on all of them: for these the report warns.

Text is processed in chunks: memory use does not grow with the corpus, except for eight bytes per
pair to detect duplicates.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from data_prep.core.files import aligned_writer, count_lines, read_lines
from data_prep.core.processes import in_parallel
from data_prep.core.program import DataError
from data_prep.text.duplicates import Seen
from data_prep.text.quality import CleaningOptions, Judge, Verdict

EXAMPLES = 5  # shown for each reason
EXAMPLE_WIDTH = 100  # characters of a line that the report quotes
CHUNK = 5000  # pairs
DUPLICATE, ALSO_TESTED = "duplicate", "also in development or test text"


@dataclass(frozen=True)
class Corpus:
    """Line-aligned text: one or more pairs of files that are read one after another.

    Attributes:
        name: Of the output.
        pairs: Pairs of files.
        weights: How often to repeat the lines of each pair of files, 2.5 for two or three times;
            once if there are none.
        forgiving: Whether bytes that are not UTF-8 become U+FFFD, for cleaning, instead of an
            error.
        home: Folder for all output. Reports name its files relative to it.
    """

    name: str
    pairs: Sequence[tuple[Path, Path]]
    weights: Sequence[float] = ()
    forgiving: bool = False
    home: Path | None = None

    def shown(self, path: Path) -> Path:
        """Return the name of a file in reports, which does not depend on the output folder."""
        inside = self.home is not None and path.is_relative_to(self.home)
        return path.relative_to(self.home) if inside else path  # type: ignore[arg-type]

    @property
    def files(self) -> list[Path]:
        return [path for pair in self.pairs for path in pair]


@dataclass
class Report:
    """The numbers of pairs read and kept, and the problems found, with examples."""

    read: int = 0
    kept: int = 0
    found: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, reason: str, where: str, source: str, target: str) -> None:
        """Count a pair under a reason, and quote the first ones."""
        entry = self.found.setdefault(reason, {"count": 0, "examples": []})
        entry["count"] += 1
        if len(entry["examples"]) < EXAMPLES:
            quoted = {"source": source[:EXAMPLE_WIDTH], "target": target[:EXAMPLE_WIDTH]}
            entry["examples"].append({"where": where, **quoted})

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON-serialisable data."""
        return {"read": self.read, "kept": self.kept, "found": self.found}

    def reasons(self) -> Iterator[str]:
        """Yield each reason with its number of pairs and the first of them, frequent ones first."""
        for reason, entry in sorted(self.found.items(), key=lambda item: -item[1]["count"]):
            yield f"{entry['count']:,} {reason} ({entry['examples'][0]['where']})"

    def summary(self, name: str) -> Iterator[str]:
        """Yield the report as lines to be read."""
        verdict = "dropped" if self.kept < self.read else "kept, but suspicious"
        yield f"{name}: {self.kept:,} of {self.read:,} pairs kept"
        for reason, entry in sorted(self.found.items(), key=lambda item: -item[1]["count"]):
            yield f"  {verdict}: {entry['count']:,} {reason}"
            for example in entry["examples"]:
                yield f"    {example['where']}: {example['source']} ||| {example['target']}"


def check_alignment(corpus: Corpus) -> int:
    """Check that the two files of each pair have the same number of lines, and at least one.

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


@dataclass(frozen=True)
class Chunk:
    """Consecutive pairs from a pair of files.

    Attributes:
        path: Name of the source in reports.
        first: Line number of the first pair.
        weight: How often to repeat its lines.
        pairs: As they were read, or as they were judged.
    """

    path: Path
    first: int
    weight: float
    pairs: Sequence[Any]

    def __iter__(self) -> Iterator[tuple[int, str, Any]]:
        """Yield line number, location, and pair."""
        for number, pair in enumerate(self.pairs, start=self.first):
            yield number, f"{self.path}:{number}", pair


def read_chunks(corpus: Corpus) -> Iterator[Chunk]:
    """Yield all pairs of lines, with a progress bar."""
    total = check_alignment(corpus)
    errors = "replace" if corpus.forgiving else "strict"
    weights = corpus.weights or [1.0] * len(corpus.pairs)
    with tqdm(total=total, desc=f"cleaning {corpus.name}", unit=" pairs", disable=None) as bar:
        for (source, target), weight in zip(corpus.pairs, weights, strict=True):
            both = zip(read_lines(source, errors), read_lines(target, errors), strict=True)
            first = 1
            while pairs := list(islice(both, CHUNK)):
                yield Chunk(corpus.shown(source), first, weight, pairs)
                first += len(pairs)
                bar.update(len(pairs))


@dataclass(frozen=True)
class _OfChunk:
    """Judges whole chunks."""

    judge: Judge

    def __call__(self, chunk: Chunk) -> Chunk:
        return Chunk(chunk.path, chunk.first, chunk.weight, self.judge(chunk.pairs))


def copies(number: int, weight: float) -> int:
    """Return how often line ``number`` (from 1) is repeated: the first n come n * weight times."""
    return int(number * weight) - int((number - 1) * weight)


class Cleaner:
    """Writes cleaned corpora, development and test text first, and keeps their reports.

    Args:
        options: What to keep of the training text.
        languages: Of source and target; suffixes of the two output files.
        workers: Number of processes, which does not affect the result.
    """

    def __init__(
        self, options: CleaningOptions, languages: tuple[str, str], workers: int = 1
    ) -> None:
        self.options, self.languages, self.workers = options, languages, workers
        self.reports: dict[str, Report] = {}
        self._judge = _OfChunk(Judge(options, languages))
        self._evaluation = Seen()

    def write_evaluation(self, corpus: Corpus, folder: Path) -> None:
        """Write a development or test corpus completely, and report what is suspicious.

        Punctuation and tokens are as in training, because this is the model's input. A score needs
        the original text, which the corpus's files contain.
        """
        report = self.reports[corpus.name] = Report()
        rewrite = self._judge.judge.rewrite
        with aligned_writer(self._paths(folder, corpus)) as write:
            for chunk in self._judged(corpus):
                self._evaluation.add(_hashes(chunk.pairs))
                for _, where, verdict in chunk:
                    source, target = verdict.source, verdict.target
                    if verdict.reason:
                        report.add(verdict.reason, where, source, target)
                        source, target = rewrite(source, target)
                    write(source, target)
                report.read += len(chunk.pairs)
        report.kept = report.read

    def write_training(self, corpus: Corpus, folder: Path) -> None:
        """Write the pairs that are suitable for training.

        Raises:
            DataError: If nothing is left.
        """
        report = self.reports[corpus.name] = Report()
        seen = Seen()
        with aligned_writer(self._paths(folder, corpus)) as write:
            for chunk in self._judged(corpus):
                for (number, where, verdict), reason in zip(
                    chunk, self._reasons(chunk.pairs, seen), strict=True
                ):
                    if reason:
                        report.add(reason, where, verdict.source, verdict.target)
                        continue
                    report.kept += 1
                    for _ in range(copies(number, chunk.weight)):
                        write(verdict.source, verdict.target)
                report.read += len(chunk.pairs)
        if report.kept == 0:
            raise DataError(
                f"{corpus.files[0]}: no usable pair left of {report.read:,} after cleaning: "
                + ", ".join(report.reasons())
            )

    def _paths(self, folder: Path, corpus: Corpus) -> list[Path]:
        return [folder / f"{corpus.name}.{language}" for language in self.languages]

    def _judged(self, corpus: Corpus) -> Iterator[Chunk]:
        return in_parallel(self._judge, read_chunks(corpus), self.workers)

    def _reasons(self, verdicts: Sequence[Verdict], seen: Seen) -> Sequence[str | None]:
        """Return what is wrong with each pair, by itself or because it is a duplicate."""
        reasons = [verdict.reason for verdict in verdicts]
        if self.options.keep_duplicates:
            return reasons
        fine = [index for index, reason in enumerate(reasons) if reason is None]
        hashes = _hashes([verdicts[index] for index in fine])
        tested, new = self._evaluation.contains(hashes), seen.add_new(hashes)
        for index, is_tested, is_new in zip(fine, tested, new, strict=True):
            reasons[index] = ALSO_TESTED if is_tested else None if is_new else DUPLICATE
        return reasons


def _hashes(verdicts: Sequence[Verdict]) -> np.ndarray:
    return np.fromiter((verdict.hash for verdict in verdicts), np.uint64, len(verdicts))
