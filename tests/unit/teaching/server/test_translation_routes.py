"""Translations over HTTP, for LibreTranslate's client and for others."""

import json
from pathlib import Path
from urllib.error import HTTPError

import pytest
from libretranslatepy import LibreTranslateAPI

from tests.served import Client, serving

CAT, KATZE = "The cat sleeps.", "Die Katze schläft."
TOKEN = "a secret of many letters"


@pytest.fixture
def libre(client: Client) -> LibreTranslateAPI:
    """LibreTranslate's client, whose server has been taught a lesson."""
    client.send("POST", "/lessons", source=CAT, target=KATZE)
    return LibreTranslateAPI(client.address)


def test_its_client_works_unchanged(libre: LibreTranslateAPI) -> None:
    assert libre.translate(f" {CAT}\n\n{CAT} ", "en", "de") == f" {KATZE}\n\n{KATZE} "
    assert libre.translate(CAT, "auto", "de") == KATZE
    assert libre.languages() == [
        {"code": "en", "name": "English", "targets": ["de"]},
        {"code": "de", "name": "German", "targets": []},
    ]
    (detected,) = libre.detect("Die Katze schläft auf dem Sofa")
    assert detected["language"] == "de" and 50 < detected["confidence"] <= 100


def test_its_client_gives_the_token_as_api_key(folder: Path) -> None:
    with serving(folder, TOKEN) as client:
        assert isinstance(LibreTranslateAPI(client.address, TOKEN).translate(CAT, "en", "de"), str)
        for key in (None, "another secret of letters"):
            with pytest.raises(HTTPError) as refused:
                LibreTranslateAPI(client.address, key).translate(CAT, "en", "de")
            assert refused.value.code == 401


def test_its_client_is_told_what_is_wrong(libre: LibreTranslateAPI) -> None:
    with pytest.raises(HTTPError) as refused:
        libre.translate(CAT, "en", "es")
    assert json.load(refused.value)["error"] == "es is not supported; texts are translated en to de"


def test_several_texts_as_json(client: Client) -> None:
    client.send("POST", "/lessons", source=CAT, target=KATZE)
    wanted = {"q": [CAT, ""], "source": "en", "target": "de-AT", "format": "html"}
    assert client.send("POST", "/translate", **wanted) == {"translatedText": [KATZE, ""]}
    found = client.send("POST", "/translate", q=CAT, source="auto", target="de")
    assert found["detectedLanguage"]["language"] == "en"


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"target": "de"}, "q: Field required"),
        ({"q": "x", "target": "de", "format": "pdf"}, "format"),
        ({"q": ["x"] * 101, "target": "de"}, "100 texts"),
        ({"q": "x" * 10_001, "target": "de"}, "at most 10000"),
        ({"q": ["x" * 6000] * 2, "target": "de"}, "10,000 characters"),
        ({"q": None, "target": "de"}, "q"),
    ],
)
def test_what_is_wrong_with_a_request(shared: Client, body: object, part: str) -> None:
    status, error = shared.refused("POST", "/translate", json=body)
    assert status == 400 and part in error and "\n" not in error


def test_no_form_and_no_json(shared: Client) -> None:
    status, _ = shared.refused("POST", "/translate", data=b"\xff=\xff")
    assert status == 400
    many = "&".join(f"a{number}=1" for number in range(1000))
    assert shared.refused("POST", "/translate", data=many)[0] == 400


def test_words_are_explained(client: Client) -> None:
    lesson = client.send("POST", "/lessons", source=CAT, target=KATZE, origin="me")
    text = f"{CAT}\n\nThe cat sleeps now. {CAT}"
    found = client.send("POST", "/explain", text=text, fuzzy=0.6)
    assert found["words"][1]["text"] == "Katze" and found["words"][1]["memory_share"] > 0.9
    best = found["words"][1]["evidence"][0]
    assert (best["lesson"], best["origin"], best["target"]) == (lesson["id"], "me", KATZE)
    first, second, third = found["sentences"]
    assert text[third["source_start"] :] == third["source"] == CAT
    assert found["text"][first["start"] : first["end"]] == KATZE
    assert first["lesson"]["id"] == third["lesson"]["id"] == lesson["id"]
    assert second["lesson"] is None and second["near"][0]["lesson"]["id"] == lesson["id"]


@pytest.mark.parametrize("wrong", [{"beam": 0}, {"beam": 21}, {"fuzzy": 0}, {"fuzzy": 1.5}])
def test_how_to_explain_has_limits(shared: Client, wrong: dict[str, float]) -> None:
    assert shared.refused("POST", "/explain", json={"text": CAT} | wrong)[0] == 400


def test_health(shared: Client) -> None:
    assert shared.get("/health") == {"status": "ok", "waiting": 0}
