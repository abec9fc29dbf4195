"""Lessons over HTTP, as a program teaches, corrects and forgets them."""

import pytest

from tests.served import Client

CAT = {"source": "The cat sleeps.", "target": "Die Katze schläft."}


def test_a_life_of_lessons(client: Client) -> None:
    """Teach, use, edit and forget lessons, and undo all of it."""
    taught = client.send("POST", "/lessons", **CAT, origin="me", author="I", note="n")
    assert (taught["now"], taught["came_through"]) == (CAT["target"], True)
    assert client.get(f"/lessons/{taught['id']}")["note"] == "n"
    edited = client.send("PUT", f"/lessons/{taught['id']}", target="Der Hund")
    assert (edited["id"], edited["target"], edited["origin"]) == (taught["id"], "Der Hund", "me")
    assert client.send("DELETE", f"/lessons/{taught['id']}") == {"lessons": 1}
    assert client.get("/lessons") == {"lessons": [], "total": 0}
    undone = [client.send("POST", "/undo") for _ in range(3)]
    assert [one["kind"] for one in undone] == ["forget", "edit", "teach"]
    assert client.refused("POST", "/undo") == (400, "there is no change left to undo")
    changes = client.get("/history")["changes"]
    assert [one["kind"] for one in changes] == ["undo"] * 3 + ["forget", "edit", "teach"]
    assert client.get("/history", limit=1, before=changes[1]["number"])["changes"] == [changes[2]]


def test_lessons_are_found_page_by_page(client: Client) -> None:
    for number in range(5):
        origin = "odd" if number % 2 else "even"
        client.send("POST", "/lessons", source=f"Cat {number}", target="Katze", origin=origin)
    found = client.get("/lessons", search="CAT", origin="even", limit=2, offset=1)
    assert ([one["source"] for one in found["lessons"]], found["total"]) == (["Cat 2", "Cat 0"], 3)


def test_contradictions_are_told(client: Client) -> None:
    first = client.send("POST", "/lessons", **CAT)
    second = client.send("POST", "/lessons", source=CAT["source"], target="Der Hund läuft.")
    assert [one["id"] for one in second["contradicts"]] == [first["id"]]


def test_many_are_forgotten_after_a_dry_run(client: Client) -> None:
    for source in ("one", "two"):
        client.send("POST", "/lessons", source=source, target="x", origin="file.tmx")
    client.send("POST", "/lessons", **CAT)
    meant = "/lessons?origin=file.tmx"
    assert client.send("DELETE", f"{meant}&dry_run=true") == {"lessons": 2}
    assert client.get("/lessons")["total"] == 3
    assert client.send("DELETE", meant) == {"lessons": 2}
    assert client.get("/lessons")["total"] == 1


@pytest.mark.parametrize("query", ["", "?search=", "?search=&origin=", "?dry_run=true"])
def test_nothing_said_does_not_mean_everything(client: Client, query: str) -> None:
    client.send("POST", "/lessons", **CAT)
    status, error = client.refused("DELETE", f"/lessons{query}")
    assert (status, "select the lessons" in error) == (400, True)
    assert client.get("/lessons")["total"] == 1


def test_a_search_that_databases_cut_off_finds_nothing(client: Client) -> None:
    client.send("POST", "/lessons", **CAT)
    assert client.get("/lessons?search=%00")["total"] == 0
    assert client.send("DELETE", "/lessons?search=%00") == {"lessons": 0}


@pytest.mark.parametrize(
    ("method", "path", "json", "status", "part"),
    [
        ("POST", "/lessons", {"source": "x"}, 400, "target: Field required"),
        ("POST", "/lessons", {"source": " ", "target": "x"}, 400, "needs a source and a target"),
        ("POST", "/lessons", {"source": 1, "target": "x"}, 400, "source: Input should be"),
        ("POST", "/lessons", CAT | {"lesson": 7}, 400, "lesson: Extra inputs"),
        ("POST", "/lessons", {"source": "x " * 4000, "target": "x"}, 400, "pieces"),
        ("POST", "/lessons", {"source": "x" * 10_001, "target": "x"}, 400, "at most 10000"),
        ("GET", "/lessons/7", None, 404, "there is no lesson 7"),
        ("PUT", "/lessons/7", {"target": "x"}, 404, "there is no lesson 7"),
        ("DELETE", "/lessons/7", None, 404, "there is no lesson 7"),
        ("GET", "/lessons/99999999999999999999", None, 400, "should be less"),
        ("GET", "/lessons/seven", None, 404, "Not Found"),
        ("GET", "/lessons?limit=100000", None, 400, "limit: Input should be less"),
        ("GET", "/history?limit=0", None, 400, "limit: Input should be greater"),
    ],
)
def test_mistakes_are_told_in_one_line(
    unchanged: Client, method: str, path: str, json: object, status: int, part: str
) -> None:
    given, error = unchanged.refused(method, path, json=json)
    assert given == status and part in error and "\n" not in error


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"source": "\\ud800", "target": "x"}', b"\xff\xfe", b"[" * 100_000]
)
def test_a_body_that_is_no_lesson_changes_nothing(unchanged: Client, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    status, error = unchanged.refused("POST", "/lessons", data=body, headers=headers)
    assert status == 400 and "\n" not in error
