"""Times what people do with a translator that has learned many lessons."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fairseq_plugins.benchmarks.pupils import pairs, pairs_of_file
from fairseq_plugins.benchmarks.search import resident
from fairseq_plugins.benchmarks.served import Client, serving
from fairseq_plugins.teaching.exchange import check_entries, write_lessons
from fairseq_plugins.teaching.lessons import Lesson, Pair, Selection
from fairseq_plugins.teaching.translator import Translator

SHOWN = 50  # lessons or changes in a list
FUZZY = 0.75
# What people should not have to wait longer for, in seconds: a pair, a pair of a file, a folder.
TEACHING, IMPORTING, OPENING = 0.3, 0.01, 5.0


@dataclass(frozen=True)
class Load:
    """The size of the measurement.

    Attributes:
        lessons: that are imported from a file.
        singly: that are taught one by one.
        repeats: of everything else.
    """

    lessons: int
    singly: int
    repeats: int


@dataclass(frozen=True)
class Timed:
    """What something took.

    Attributes:
        title: of it.
        seconds: of each repetition.
        target: the most that the median should be, in seconds; None if there is no target.
        work: what was done in each, to give a speed; 1 for a time.
        unit: of the work.
        gained: bytes of main memory that the process has more than before; None if not measured.
    """

    title: str
    seconds: list[float]
    target: float | None = None
    work: int = 1
    unit: str = ""
    gained: int | None = None

    @property
    def median(self) -> float:
        """Median of the seconds."""
        return statistics.median(self.seconds)

    @property
    def missed(self) -> bool:
        """Whether it takes longer than it should."""
        return self.target is not None and self.median > self.target


def timed(title: str, calls: Sequence[Callable[[], object]], target: float | None = None) -> Timed:
    """Make calls and time each of them."""
    seconds = []
    for call in calls:
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return Timed(title, seconds, target)


def measure(folder: Path, load: Load, path: Path | None = None) -> Iterator[Timed]:
    """Time everything, with the lessons that were taught before.

    Args:
        folder: a translator folder without lessons; it is changed.
        load: how much.
        path: of a file of lessons to teach; None for random words.
    """
    first = load.lessons + load.singly + load.repeats
    new = pairs(folder, first + load.singly)
    if path is not None:
        new = pairs_of_file(folder, path, first + load.singly)
    yield _opened("open the folder, no lessons", folder)
    with Translator.open(folder) as translator:
        yield from _taught(translator, new, load, "")
        file, languages = folder.parent / "lessons.tmx", translator.languages
        write_lessons(file, map(_lesson, islice(new, load.lessons)), languages)
        work = load.lessons, "pairs/s"
        yield _once("read a TMX file", lambda: check_entries(file, languages), None, *work)
        importing = load.lessons * IMPORTING
        yield _once("import it", lambda: translator.import_file(file), importing, *work)
    count = f", {load.lessons:,} lessons"
    yield _opened(f"open the folder{count}", folder, OPENING)
    with Translator.open(folder) as translator:
        yield from _used(translator, load, count)
    with serving(folder) as client:
        yield from _asked(client, new, load, count)
    with Translator.open(folder) as translator:
        yield from _taught(translator, new, load, count)
        yield _undone(translator, load)


def _undone(translator: Translator, load: Load) -> Timed:
    """Undo everything down to the import, and time that."""
    while True:
        begin = time.perf_counter()
        change = translator.undo()
        if change.lessons == load.lessons:
            return Timed("undo the import", [time.perf_counter() - begin])


def _lesson(pair: Pair) -> Lesson:
    return Lesson(id=1, version=1, changed="", **vars(pair))


def _opened(title: str, folder: Path, target: float | None = None) -> Timed:
    return _once(title, lambda: Translator.open(folder).close(), target)


def _once(
    title: str,
    call: Callable[[], object],
    target: float | None = None,
    work: int = 1,
    unit: str = "",
) -> Timed:
    """Make a call, and see how much main memory it takes."""
    before = resident()
    done, after = timed(title, [call], target), resident()
    gained = None if before is None or after is None else after - before
    return replace(done, work=work, unit=unit, gained=gained)


def _taught(translator: Translator, new: Iterator[Pair], load: Load, count: str) -> Iterator[Timed]:
    some = list(islice(new, load.singly))
    teach = [partial(translator.teach, **_texts(pair)) for pair in some]
    yield timed(f"teach a pair{count}", teach, TEACHING)
    ask = [partial(translator.translate, pair.source, exact=False) for pair in some]
    yield timed(f"translate it by the network{count}", ask)


def _used(translator: Translator, load: Load, count: str) -> Iterator[Timed]:
    times = load.repeats
    lesson = translator.lessons(limit=1)[0]
    text = f"{lesson.source} {lesson.source.split()[0]}"
    calls: dict[str, Callable[[], object]] = {
        "translate a taught sentence": lambda: translator.translate(lesson.source),
        "find similar lessons": lambda: translator._taught.near(text, FUZZY),
        "explain a taught sentence": lambda: translator.explain(lesson.source),
        "list lessons": lambda: (translator.lessons(limit=SHOWN), translator.count()),
        "search lessons": lambda: translator.count(Selection(search=lesson.source.split()[0])),
        "list the history": lambda: translator.history(limit=SHOWN),
        "find contradictions": translator.contradictions,
        "edit a lesson": lambda: translator.edit(lesson.id, note=str(time.perf_counter())),
        "undo an edit": translator.undo,
    }
    for title, call in calls.items():
        yield timed(f"{title}{count}", [call] * times)


def _asked(client: Client, new: Iterator[Pair], load: Load, count: str) -> Iterator[Timed]:
    source = client.get("/lessons?limit=1")["lessons"][0]["source"]
    text = {"q": source, "source": "auto", "target": client.get("/languages")[1]["code"]}
    why = {"text": source, "fuzzy": FUZZY}
    calls: dict[str, Callable[[], object]] = {
        "GET / (the page)": lambda: client.text("/"),
        "POST /translate": lambda: client.send("/translate", text),
        "POST /explain": lambda: client.send("/explain", why),
        "GET /lessons": lambda: client.get(f"/lessons?limit={SHOWN}"),
        "GET /lessons?search=": lambda: client.get(
            f"/lessons?limit={SHOWN}&search={quote(source.split()[0])}"
        ),
        "GET /history": lambda: client.get("/history"),
        "POST /lessons": lambda: client.send("/lessons", _texts(next(new))),
    }
    for title, call in calls.items():
        yield timed(f"{title}{count}", [call] * load.repeats)


def _texts(pair: Pair) -> dict[str, str]:
    return {"source": pair.source, "target": pair.target}


def table(found: Sequence[Timed]) -> Iterator[str]:
    """Yield the lines of the table."""
    width = max(len(one.title) for one in found)
    yield f"{'':{width}}  {'median':>14}  {'slowest':>14}  {'memory':>10}  target"
    for one in found:
        target = "" if one.target is None else f"{_shown(one, one.target)}{'  MISSED' * one.missed}"
        cells = _shown(one, one.median), _shown(one, max(one.seconds))
        gained = "" if one.gained is None else f"{one.gained / 2**20:+,.0f} MiB"
        line = f"{one.title:{width}}  {cells[0]:>14}  {cells[1]:>14}  {gained:>10}  {target}"
        yield line.rstrip()


def _shown(one: Timed, seconds: float) -> str:
    if one.unit:
        return f"{one.work / seconds:,.0f} {one.unit}"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"


def as_data(load: Load, found: Sequence[Timed]) -> dict[str, Any]:
    """Return all numbers, for a file."""
    return {"load": asdict(load), "results": [asdict(one) for one in found]}
