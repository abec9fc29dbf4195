"""Attacks on the server, each of which must fail."""

import hmac
import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fairseq_plugins.teaching.server import guard
from fairseq_plugins.teaching.server.app import build
from fairseq_plugins.teaching.translator import Translator
from tests.programs import LONGEST
from tests.served import Client, serving

TOKEN = "a secret of many letters"
CAT = {"source": "The cat sleeps.", "target": "Der Kater ruht."}
KNOWN = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def client(shared: Client) -> Client:
    """Talks to a server that needs no token, and that all attacks share."""
    return shared


@pytest.fixture(scope="module")
def guarded(shared_folder: Path) -> Iterator[Client]:
    """Talks to a server that needs a token."""
    with serving(shared_folder, TOKEN) as client:
        yield client


@pytest.fixture(scope="module")
def asked(shared_folder: Path) -> list[tuple[str, str]]:
    """Return all that a server can be asked, but for what is the same for everybody."""
    app, service = build(Translator.open(shared_folder), TOKEN)
    service.translator.close()
    paths = app.app.openapi()["paths"]
    asked = [(m.upper(), path.format(id=1)) for path, methods in paths.items() for m in methods]
    assert ("GET", "/lessons") in asked and ("POST", "/translate") in asked
    return [one for one in asked if one[1] not in guard.PUBLIC]


def raw(client: Client, *lines: str) -> tuple[int, bytes]:
    """Return the answer to lines that no library of clients would send."""
    address = urlsplit(client.address)
    with socket.create_connection((address.hostname, address.port), LONGEST) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.read()


# --- Other sites in the browser of a user ---------------------------------------------------------


FOREIGN_HOSTS = [
    "evil.example",
    "evil.example:5000",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "127.0.0.1@evil.example",
    "[::1",
    "",
]
FOREIGN_ORIGINS = [
    "https://evil.example",
    "http://localhost.evil.example",
    "http://127.0.0.1",
    "http://[::1",
    "null",
    "",
]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_name_that_leads_here_is_not_served(client: Client, host: str) -> None:
    """DNS rebinding fails: the attacker's own name, resolved to this machine, is rejected."""
    status, _ = raw(client, "GET /lessons HTTP/1.1", f"Host: {host}")
    assert status == 421


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:5000", "[::1]:5000", "LOCALHOST:1"])
def test_names_of_this_machine_are_served(client: Client, host: str) -> None:
    assert raw(client, "GET /lessons HTTP/1.1", f"Host: {host}", "Connection: close")[0] == 200


@pytest.mark.parametrize("origin", FOREIGN_ORIGINS)
@pytest.mark.parametrize("path", ["/lessons", "/undo", "/translate"])
@pytest.mark.usefixtures("unchanged")
def test_a_page_of_another_site_changes_nothing(client: Client, origin: str, path: str) -> None:
    headers = {"Origin": origin}
    assert client.refused("POST", path, json=CAT, headers=headers)[0] == 403


@pytest.mark.usefixtures("unchanged")
def test_a_form_of_another_site_changes_nothing(client: Client) -> None:
    """Browsers that send no Origin at least tell where a request comes from."""
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert client.refused("POST", "/lessons", json=CAT, headers=headers)[0] == 403


def test_the_page_itself_may(client: Client) -> None:
    headers = {"Origin": client.address, "Sec-Fetch-Site": "same-origin"}
    assert client("POST", "/lessons", json=CAT, headers=headers).status_code == 201


def test_no_other_site_may_read(client: Client) -> None:
    """Browsers pass responses to other sites only if a header allows it."""
    answer = client("GET", "/lessons", headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "PUT"}
    assert client("OPTIONS", "/lessons/1", headers=asked).status_code == 405


# --- Who does not know the token ------------------------------------------------------------------


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer ä"]
)
def test_nothing_is_told_without_the_token(
    guarded: Client, asked: list[tuple[str, str]], header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    for method, path in asked:
        for body in (CAT, {"q": "x", "target": "de"}, {}):
            status, error = guarded.refused(method, path, json=body, headers=headers)
            assert (status, "token" in error) == (401, True), (method, path)
    assert guarded.refused("GET", "/nosuch", headers=headers)[0] == 401


def test_who_knows_the_token_is_served_by_any_name(guarded: Client) -> None:
    assert guarded("POST", "/lessons", json=CAT, headers=KNOWN).status_code == 201
    lines = "Host: translate.example", f"Authorization: Bearer {TOKEN}", "Connection: close"
    assert raw(guarded, "GET /lessons HTTP/1.1", *lines)[0] == 200


def test_the_token_does_not_let_other_sites_in(guarded: Client) -> None:
    headers = KNOWN | {"Origin": "https://evil.example"}
    assert guarded.refused("POST", "/lessons", json=CAT, headers=headers)[0] == 403


def test_the_empty_page_is_for_everybody_and_says_nothing(guarded: Client) -> None:
    guarded("POST", "/lessons", json=CAT, headers=KNOWN)
    for path in ("/", "/docs", "/openapi.json", "/health", "/languages"):
        answer = guarded("GET", path)
        assert answer.status_code == 200 and "Kater ruht" not in answer.text


def test_tokens_are_compared_in_constant_time(
    guarded: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []
    compare = hmac.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(guard.hmac, "compare_digest", watched)
    guarded("GET", "/lessons", headers=KNOWN)
    guarded("POST", "/translate", json={"q": "x", "target": "de", "api_key": "no"})
    secret = TOKEN.encode()
    assert compared == [(secret, secret), (secret, b"no")]


# --- Too much -------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", ["1048577", "99999999999999999999", "-1", "x"])
def test_a_body_that_says_it_is_too_large(client: Client, length: str) -> None:
    status, _ = raw(
        client, "POST /lessons HTTP/1.1", "Host: localhost", f"Content-Length: {length}"
    )
    assert status in (400, 413)


@pytest.mark.parametrize("path", ["/lessons", "/translate", "/explain"])
@pytest.mark.usefixtures("unchanged")
def test_a_body_that_does_not_say_so(client: Client, path: str) -> None:
    parts = (b"x" * 100_000 for _ in range(20))
    headers = {"Content-Type": "application/json"}
    assert client("POST", path, data=parts, headers=headers).status_code == 413


@pytest.mark.usefixtures("unchanged")
def test_a_file_that_is_too_large(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "LARGEST_FILE", 1000)
    parts = (b"x\ty\n" * 100 for _ in range(5))
    answer = client("POST", "/lessons/import?name=a.tsv", data=parts)
    assert answer.status_code == 413


def test_a_body_that_stalls(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "STALLED", 0.2)
    lines = "Host: localhost", "Content-Length: 100", "Content-Type: application/json"
    status, answer = raw(client, "POST /lessons HTTP/1.1", *lines)
    assert (status, json.loads(answer)["error"]) == (408, "nothing was received for 0 s")


def test_too_many_that_wait_are_told_to_come_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.service.work, "_most", 0)
    answer = client("POST", "/translate", json={"q": "x", "target": "de"})
    assert answer.status_code == 503 and answer.headers["Retry-After"]


# --- What reaches the disk, and the browser -------------------------------------------------------


FILES = [
    "/static/../app.py",
    "/static/..%2fapp.py",
    "/static/%2e%2e/app.py",
    "/static//etc/passwd",
    "/static/style.css%00",
    "//etc/passwd",
    "/../translator.json",
]


@pytest.mark.parametrize("path", FILES)
def test_no_path_leads_to_a_file(client: Client, path: str) -> None:
    status, answer = raw(client, f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close")
    assert (status, json.loads(answer)) == (404, {"error": "Not Found"})


@pytest.mark.parametrize("path", ["/", "/docs", "/lessons", "/nosuch", "/static/style.css"])
def test_browsers_are_told_to_take_nothing_from_elsewhere(client: Client, path: str) -> None:
    headers = client("GET", path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"


def test_errors_tell_nothing_of_this_machine(client: Client, shared_folder: Path) -> None:
    told = [
        client.refused(method, "/lessons/7777", json={})[1] for method in ("GET", "PUT", "DELETE")
    ]
    assert not [one for one in told if str(shared_folder) in one or "lessons.db" in one]


def test_a_mistake_of_ours_tells_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(client.service.translator, "undo", fail)
    status, error = client.refused("POST", "/undo")
    assert status == 500 and "secret" not in error
