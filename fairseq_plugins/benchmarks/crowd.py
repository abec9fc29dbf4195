"""Several servers on one journal: many clients at once, and servers that are killed.

Every client teaches at one server, asks at the next one, which must know the lesson already, and
then forgets some lessons again. Servers are killed, without a chance to finish, while clients
teach: every lesson that was acknowledged must be there, and none of which only a part is.
"""

import logging
import multiprocessing
import os
import random
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from fairseq_plugins.atomic import write_json
from fairseq_plugins.benchmarks.pupils import pairs
from fairseq_plugins.benchmarks.served import PATIENCE, Client
from fairseq_plugins.progress import Progress
from fairseq_plugins.teaching.about import ABOUT, open_journal, read_about
from fairseq_plugins.teaching.translator import Translator

# A new process imports everything once, and forks for each server.
START = "forkserver" if os.name == "posix" else "spawn"
LESSONS = 100_000  # more than a client can teach
FORGOTTEN = 0.5  # share of the lessons that their client forgets again
TEACHERS = 4  # clients of a server that is killed
LONGEST_LIFE = 0.5  # seconds from the first lesson to the kill, at most


@dataclass(frozen=True)
class Load:
    """The size of the measurement.

    Attributes:
        servers: on one journal.
        clients: at once.
        seconds: that they go on for.
        kills: of a server, while another one goes on.
        seed: of all random numbers.
    """

    servers: int
    clients: int
    seconds: float
    kills: int
    seed: int = 1


@dataclass
class Report:
    """What clients saw.

    Attributes:
        seconds: of each request, by its kind.
        faults: what must not happen, each in a line.
        sent: targets of all lessons that clients sent, by source.
        acknowledged: those of lessons that must be taught now.
        kills: that happened.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    sent: dict[str, str] = field(default_factory=dict)
    acknowledged: dict[str, str] = field(default_factory=dict)
    kills: int = 0

    def timed(self, kind: str, call: Callable[..., Any], *given: Any) -> Any:
        """Make a request, and note how long it takes."""
        begin = time.perf_counter()
        answer = call(*given)
        self.seconds.setdefault(kind, []).append(time.perf_counter() - begin)
        return answer


def share(folder: Path, journal: str) -> None:
    """Let a translator folder keep its lessons in another journal, an SQLite file or a URL."""
    write_json(folder / ABOUT, asdict(replace(read_about(folder), lessons=journal)))


@contextmanager
def served(folder: Path) -> Iterator[tuple[Client, Any]]:
    """Serve a folder in a process of its own, and yield a client and the process."""
    context: Any = multiprocessing.get_context(START)
    context.set_forkserver_preload(["fairseq_plugins.teaching.server.serving"])
    told, tells = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(folder, tells), daemon=True)
    process.start()
    tells.close()
    try:
        if not told.poll(PATIENCE):
            raise TimeoutError(f"the server of {folder} does not start")
        yield Client(told.recv()), process
    finally:
        process.kill()
        process.join()


def _serve(folder: Path, tells: Connection) -> None:
    from fairseq_plugins.teaching.server.serving import serve

    logging.getLogger().setLevel(logging.WARNING)  # whatever was imported, the report is enough
    for address in serve(folder, "127.0.0.1", 0):
        tells.send(address)


# --- Many at once ---------------------------------------------------------------------------------


def crowd(folder: Path, load: Load) -> Report:
    """Let clients teach, translate and forget at several servers for a while.

    Args:
        folder: a translator folder without lessons.
        load: how many, and how long.

    Returns:
        What they saw.
    """
    report = Report()
    with _servers(folder, load.servers) as clients:
        until = time.monotonic() + load.seconds
        live = partial(_live, folder, clients, until, report)
        _together([partial(live, f"{load.seed} {number}") for number in range(load.clients)])
        for number, client in enumerate(clients):
            total = client.get("/lessons?limit=1")["total"]
            if total != len(report.acknowledged):
                expected = len(report.acknowledged)
                report.faults.append(f"server {number} knows {total} lessons, not {expected}")
    compare(folder, report)
    return report


@contextmanager
def _servers(folder: Path, count: int) -> Iterator[list[Client]]:
    if count == 0:
        yield []
        return
    with served(folder) as (client, _), _servers(folder, count - 1) as others:
        yield [client, *others]


def _live(folder: Path, clients: Sequence[Client], until: float, report: Report, name: str) -> None:
    """Teach at one server, ask the next, and forget, until the time is over, but at least once."""
    mine = random.Random(name)
    first = mine.randrange(len(clients))
    here, there = clients[first], clients[(first + 1) % len(clients)]
    source, target = (one["code"] for one in here.get("/languages"))
    for pair in pairs(folder, LESSONS, mine.getrandbits(32)):
        report.sent[pair.source] = pair.target
        try:
            texts = {"source": pair.source, "target": pair.target}
            asked = {"q": pair.source, "source": source, "target": target}
            lesson = report.timed("teach", here.send, "/lessons", texts)
            found = report.timed("translate", there.send, "/translate", asked)
            if found["translatedText"] != pair.target:
                report.faults.append(f"{pair.source!r} became {found['translatedText']!r}")
            if mine.random() < FORGOTTEN:
                report.timed("forget", there.send, f"/lessons/{lesson['id']}", None, "DELETE")
            else:
                report.acknowledged[pair.source] = pair.target
        except (OSError, ValueError) as error:
            report.faults.append(f"client {name}: {error}")
            return
        if time.monotonic() >= until:
            return


# --- Killed ---------------------------------------------------------------------------------------


def killed(folder: Path, load: Load) -> Report:
    """Kill servers at random moments while clients teach; another server goes on all the time.

    Args:
        folder: a translator folder, whose lessons are forgotten first.
        load: how often.

    Returns:
        What clients saw; a request that was cut off by the kill is no fault.
    """
    report, draw = Report(), random.Random(load.seed)
    with open_journal(folder) as journal:
        journal.forget([lesson.id for lesson in journal.lessons()])
    with served(folder) as (standing, _), Progress(total=load.kills, desc="killing") as bar:
        for number in range(load.kills):
            _kill_one(folder, standing, number, draw, report)
            bar.update()
            if report.faults:
                break
    compare(folder, report, report.kills * TEACHERS)
    return report


def _kill_one(
    folder: Path, standing: Client, number: int, draw: random.Random, report: Report
) -> None:
    over, taught = threading.Event(), threading.Event()

    def teach(client: Client, name: str) -> None:
        for pair in pairs(folder, LESSONS, random.Random(f"{number} {name}").getrandbits(32)):
            report.sent[pair.source] = pair.target
            try:
                client.send("/lessons", {"source": pair.source, "target": pair.target})
            except (OSError, ValueError) as error:
                if client is standing or isinstance(error, HTTPError):
                    report.faults.append(f"{name}: {error}")
                return
            report.acknowledged[pair.source] = pair.target
            if client is not standing:
                taught.set()
            if over.is_set():
                return

    with served(folder) as (client, process):

        def kill() -> None:
            taught.wait(PATIENCE)
            time.sleep(draw.uniform(0, LONGEST_LIFE))
            process.kill()
            process.join()
            report.kills += process.exitcode == -signal.SIGKILL
            over.set()

        teachers = [partial(teach, client, str(one)) for one in range(TEACHERS)]
        _together([kill, partial(teach, standing, "standing"), *teachers])


def compare(folder: Path, report: Report, unanswered: int = 0) -> None:
    """Compare the journal, and a translator that opens it, with what clients sent and were told.

    Args:
        folder: of the translator.
        report: gets the faults.
        unanswered: lessons that may be taught although they were not acknowledged, at most.
    """
    with open_journal(folder) as journal:
        taught = {lesson.source: lesson.target for lesson in journal.lessons()}
    report.faults += [
        f"{source!r} was acknowledged and is lost"
        for source in report.acknowledged
        if source not in taught
    ]
    more = [source for source in taught if source not in report.acknowledged]
    if len(more) > unanswered:
        report.faults.append(f"{len(more)} lessons are taught that nobody was told of: {more[0]!r}")
    report.faults += [
        f"{source!r} is not taught as it was sent"
        for source, target in taught.items()
        if report.sent.get(source) != target
    ]
    with Translator.open(folder) as translator:
        for source, target in islice(taught.items(), 1):
            if translator.translate(source).text != target:
                report.faults.append(f"{source!r} is not translated as it was taught")


def _together(calls: Sequence[Callable[[], None]]) -> None:
    """Make calls on a thread each, and wait for all; what one of them raises is raised."""
    with ThreadPoolExecutor(len(calls)) as threads:
        for done in [threads.submit(call) for call in calls]:
            done.result()


# --- Shown ----------------------------------------------------------------------------------------


def table(clients: Report, kills: Report, load: Load) -> Iterator[str]:
    """Yield the lines of the tables."""
    yield f"{load.clients} clients at {load.servers} servers for {load.seconds:g} s"
    yield f"{'':12}{'requests':>10}{'median':>12}{'95 %':>12}{'slowest':>12}"
    for kind, seconds in clients.seconds.items():
        numbers = statistics.median(seconds), _percentile(seconds, 95), max(seconds)
        cells = "".join(f"{1000 * number:>9,.0f} ms" for number in numbers)
        yield f"{kind:12}{len(seconds):>10,}{cells}"
    yield from _faults(clients)
    yield ""
    yield (
        f"{kills.kills} of {load.kills} servers killed while clients taught; "
        f"{len(kills.acknowledged):,} lessons acknowledged"
    )
    yield from _faults(kills)


def _faults(report: Report) -> Iterator[str]:
    yield f"faults: {len(report.faults)}"
    yield from (f"  {fault}" for fault in report.faults[:10])


def _percentile(numbers: Sequence[float], percent: int) -> float:
    """Return the smallest number that so many per cent do not exceed."""
    return sorted(numbers)[max(0, -(-len(numbers) * percent // 100) - 1)]


def as_data(clients: Report, kills: Report, load: Load) -> dict[str, Any]:
    """Return all numbers, for a file."""
    return {"load": asdict(load)} | {
        name: {
            "faults": report.faults,
            "lessons": len(report.acknowledged),
            "kills": report.kills,
            "seconds": report.seconds,
            "p95": {kind: _percentile(all_of, 95) for kind, all_of in report.seconds.items()},
        }
        for name, report in (("clients", clients), ("killed", kills))
    }
