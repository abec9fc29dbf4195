"""The server in its own process: many clients at once, stopped, killed."""

import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from fairseq_plugins.teaching.about import open_journal
from fairseq_plugins.teaching.translator import Translator
from tests.programs import LONGEST, assert_one_line, verb
from tests.served import Client
from tests.waiting import wait_until

pytestmark = pytest.mark.integration
TOKEN = "a secret of many letters"
CLIENTS = 20
KILLS = 3


@contextmanager
def served(folder: Path, *options: str) -> Iterator[tuple[Client, subprocess.Popen[str]]]:
    """Start a server of a folder at a free port; kill it in the end if it has not ended."""
    command = [sys.executable, "-m", "fairseq_plugins.cli", "serve", str(folder), "--cpu"]
    process = subprocess.Popen(
        [*command, "--port", "0", *options], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        found = re.search(r"http://\S+:(\d+)/", line)
        assert found, line
        yield Client(f"http://127.0.0.1:{found[1]}"), process
    finally:
        process.kill()
        process.wait()


def test_twenty_clients_at_once(folder: Path) -> None:
    """Each client translates, teaches and forgets; nothing fails, and nothing is lost."""

    def work(number: int) -> set[str]:
        source, target = f"the cat {number}", f"die Katze {number}"
        lesson = client.send("POST", "/lessons", source=source, target=target)
        found = client.send("POST", "/translate", q=source, source="en", target="de")
        assert found["translatedText"] == target
        if number % 2:
            client.send("DELETE", f"/lessons/{lesson['id']}")
            return set()
        return {source}

    with served(folder) as (client, _), ThreadPoolExecutor(CLIENTS) as clients:
        kept = set().union(*clients.map(work, range(CLIENTS)))
        listed = client.get("/lessons", limit=500)["lessons"]
    assert {lesson["source"] for lesson in listed} == kept and len(listed) == len(kept)


def teach_until(
    stopped: Callable[[], bool], client: Client, name: str, acknowledged: list[str]
) -> None:
    """Teach lesson after lesson, and note those that the server says it has taught."""
    with requests.Session() as session:
        for number in range(10_000):
            if stopped():
                return
            pair = {"source": f"the cat {name} {number}", "target": f"die Katze {name} {number}"}
            try:
                answer = session.post(f"{client.address}/lessons", json=pair, timeout=LONGEST)
            except requests.RequestException:
                return
            if answer.status_code == 201:
                acknowledged.append(pair["source"])


def kill_while_teaching(folder: Path, seed: int, sign: int) -> tuple[int, set[str]]:
    """End a server with a signal at a random moment while four clients teach.

    Returns:
        Its exit code, and the sources that were acknowledged.
    """
    acknowledged: list[str] = []
    ended = threading.Event()
    with served(folder) as (client, process):
        clients = [
            threading.Thread(
                target=teach_until, args=(ended.is_set, client, f"{seed} {name}", acknowledged)
            )
            for name in range(4)
        ]
        for one in clients:
            one.start()
        mine = random.Random(seed)
        wanted = mine.randint(1, 8)
        wait_until(lambda: len(acknowledged) >= wanted)
        time.sleep(mine.uniform(0, 0.1))
        process.send_signal(sign)
        status = process.wait(LONGEST)
        ended.set()
        for one in clients:
            one.join()
    return status, set(acknowledged)


def taught_in(folder: Path) -> set[str]:
    """Return the sources that are taught; each with its own target, and known to a translator."""
    with open_journal(folder) as journal:
        lessons = list(journal.lessons())
    assert all(one.target == one.source.replace("the cat", "die Katze") for one in lessons)
    if lessons:
        with Translator.open(folder) as translator:
            assert translator.translate(lessons[0].source).text == lessons[0].target
    return {one.source for one in lessons}


def test_what_was_acknowledged_survives_kills(folder: Path) -> None:
    """A lesson whose answer was cut off may be there, but only completely."""
    acknowledged: set[str] = set()
    for seed in range(KILLS):
        status, news = kill_while_teaching(folder, seed, signal.SIGKILL)
        assert status == -signal.SIGKILL
        acknowledged |= news
        unanswered = taught_in(folder) - acknowledged
        assert acknowledged <= taught_in(folder) and len(unanswered) <= 4
        acknowledged |= unanswered
    assert len(acknowledged) >= KILLS


def test_what_is_begun_is_finished_when_told_to_end(folder: Path) -> None:
    """No client gets half an answer, or a lesson that was not reported to it."""
    status, acknowledged = kill_while_teaching(folder, 1, signal.SIGTERM)
    assert status == 0
    assert taught_in(folder) == acknowledged and acknowledged


def test_it_ends_when_interrupted(folder: Path) -> None:
    with served(folder, "--json") as (client, process):
        assert client.get("/health")["status"] == "ok"
        process.send_signal(signal.SIGINT)
        assert process.wait(LONGEST) == 0


def test_other_machines_need_the_token(folder: Path) -> None:
    assert_one_line(verb("serve", folder, "--host", "0.0.0.0", "--port", 0), "--token")
    short = verb("serve", folder, "--host", "0.0.0.0", "--port", 0, "--token", "short")
    assert_one_line(short, "at least 16 ")
    with served(folder, "--host", "0.0.0.0", "--token", TOKEN) as (client, _):
        assert client.refused("GET", "/lessons")[0] == 401
        known = {"Authorization": f"Bearer {TOKEN}"}
        assert client("GET", "/lessons", headers=known).status_code == 200


def test_an_address_that_cannot_be_had(folder: Path) -> None:
    assert_one_line(verb("serve", folder, "--host", "192.0.2.1", "--token", TOKEN), "192.0.2.1")
    assert verb("serve", folder, "--port", 70_000).returncode == 2
    with served(folder) as (client, _):
        port = client.address.rpartition(":")[2]
        assert_one_line(verb("serve", folder, "--port", port), port, "in use")
    assert_one_line(verb("serve", folder / "nosuch", "--port", 0), "not a translator folder")
