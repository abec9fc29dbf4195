"""Files of lessons, sent and fetched over HTTP."""

import itertools
import json
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.concurrency import run_in_threadpool

from fairseq_plugins.teaching.server import importing
from fairseq_plugins.teaching.server.worker import Worker
from tests.programs import LONGEST
from tests.served import Client
from tests.waiting import wait_until

LESSONS = "The cat sleeps.\tDie Katze schläft.\nThe dog runs.\tDer Hund läuft.\n"
LINES = {"Accept": "application/x-ndjson"}
BOMB = b"""<!DOCTYPE tmx [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<tmx><body><tu><tuv xml:lang="en"><seg>&b;</seg></tuv></tu></body></tmx>"""
FOREIGN = b"""<!DOCTYPE tmx [<!ENTITY secret SYSTEM "file:///etc/passwd">]>
<tmx><body><tu><tuv xml:lang="en"><seg>&secret;</seg></tuv></tu></body></tmx>"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of temporary files, of this test alone."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_file_is_taught_and_told_as_one_change(client: Client, temporary: Path) -> None:
    answer = client("POST", "/lessons/import?name=some.tsv", data=LESSONS.encode())
    assert answer.json()["report"]["taught"] == 2 and answer.json()["complete"]
    assert {one["origin"] for one in client.get("/lessons")["lessons"]} == {"some.tsv"}
    assert client.send("POST", "/undo")["lessons"] == 2
    assert list(temporary.iterdir()) == []


def test_progress_is_told(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "AT_ONCE", 1)
    answer = client("POST", "/lessons/import?name=some.tsv", data=LESSONS.encode(), headers=LINES)
    told = [json.loads(line) for line in answer.text.splitlines()]
    assert [one["report"]["read"] for one in told] == [0, 1, 2, 2]
    assert [one["complete"] for one in told] == [False, False, False, True]
    assert {one["total"] for one in told} == {2}


@pytest.mark.parametrize("format", ["tmx", "tsv", "csv", "jsonl"])
def test_what_is_fetched_is_read_back(client: Client, format: str, temporary: Path) -> None:
    client("POST", "/lessons/import?name=some.tsv", data=LESSONS.encode())
    fetched = client("GET", f"/lessons/export?format={format}")
    assert f"lessons.{format}" in fetched.headers["Content-Disposition"]
    assert "Katze" not in client("GET", f"/lessons/export?format={format}&search=dog").text
    before = client.get("/lessons")["lessons"]
    client.send("DELETE", "/lessons?origin=some.tsv")
    client("POST", f"/lessons/import?name=x.{format}", data=fetched.content)
    after = client.get("/lessons")["lessons"]
    for one in ("source", "target", "origin", "created"):
        assert [lesson[one] for lesson in after] == [lesson[one] for lesson in before]
    wait_until(lambda: not list(temporary.iterdir()))  # the server, with the last byte sent


def test_a_faulty_file_changes_nothing(client: Client, temporary: Path) -> None:
    faulty = f"{LESSONS}only one\n".encode()
    path = "/lessons/import?name=../some.tsv"
    for headers in ({}, LINES):
        status, error = client.refused("POST", path, data=faulty, headers=headers)
        assert status == 400 and error.startswith("../some.tsv, line 3: has 1 column")
    assert client.get("/history")["changes"] == [] and list(temporary.iterdir()) == []
    rest = client("POST", f"{path}&keep_going=true", data=faulty).json()["report"]
    assert (rest["taught"], rest["skipped"], rest["reasons"][0][0]) == (2, 1, 3)


@pytest.mark.parametrize("document", [BOMB, FOREIGN])
def test_entities_of_a_tmx_are_not_followed(client: Client, document: bytes) -> None:
    status, error = client.refused("POST", "/lessons/import?name=a.tmx", data=document)
    assert status == 400 and "entities" in error and "root:" not in error
    assert client.get("/history")["changes"] == []


@pytest.mark.parametrize("name", ["a.exe", "", "tmx", "a.tmx/../b", "a.tmx\0"])
def test_a_format_that_is_not_known(client: Client, name: str, temporary: Path) -> None:
    answer = client("POST", "/lessons/import", params={"name": name}, data=b"x")
    assert answer.status_code == 400 and "are read from" in answer.json()["error"]
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("name", ["../../etc/x.tsv", "/etc/x.tsv", "a\0b.tsv", "..\\x.tsv"])
def test_no_name_of_a_client_reaches_the_disk(client: Client, name: str, temporary: Path) -> None:
    seen = set()
    receive = importing.Import._receive

    async def watched(self: importing.Import, path: Path) -> None:
        seen.add(path.relative_to(temporary).name)
        await receive(self, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importing.Import, "_receive", watched)
        client("POST", "/lessons/import", params={"name": name}, data=LESSONS.encode())
    assert seen == {"lessons.tsv"}


@pytest.fixture
def gate(client: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Hold imports after their first part, one lesson, until the event is set."""
    opened, work, begun = threading.Event(), Worker.__call__, itertools.count()

    async def held(self: Worker, call: Any, *args: Any) -> Any:
        if call is next and next(begun) > 0:
            await run_in_threadpool(opened.wait)
        return await work(self, call, *args)

    monkeypatch.setattr(Worker, "__call__", held)
    monkeypatch.setattr(importing, "AT_ONCE", 1)
    yield opened
    opened.set()


@contextmanager
def imported(client: Client) -> Iterator[Iterator[Any]]:
    """Import three lessons; yield what is told once the first is taught."""
    path = f"{client.address}/lessons/import?name=some.tsv"
    file = "".join(f"Cat {number}\tKatze {number}\n" for number in range(3)).encode()
    with requests.post(path, data=file, headers=LINES, stream=True, timeout=LONGEST) as answer:
        told = map(json.loads, answer.iter_lines())
        assert [next(told)["report"]["taught"] for _ in range(2)] == [0, 1]
        yield told


def test_others_are_served_while_a_file_is_imported(client: Client, gate: threading.Event) -> None:
    """An import continues when its client disconnects; another file has to wait."""
    with imported(client):
        assert client.send("POST", "/translate", q="x", target="de")
        assert client.get("/lessons")["total"] == 1
        assert client.refused("POST", "/lessons/import?name=b.tsv", data=b"x\ty")[0] == 409
    gate.set()
    wait_until(lambda: client.get("/lessons")["total"] == 3)
    assert client.send("POST", "/undo")["lessons"] == 3


def test_an_import_ends_with_the_server(client: Client, gate: threading.Event) -> None:
    """The part that has begun is taught."""
    with imported(client) as told:
        client.service.ending = True
        gate.set()
        *_, last = told
    assert "import the file again" in last["error"] and not last["complete"]
    assert client.get("/lessons")["total"] == last["report"]["taught"] == 2
