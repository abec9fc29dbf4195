"""The page's colours, and the names that it takes from other places."""

import re

import pytest

from fairseq_plugins.teaching.server.page import ASSETS
from tests.served import Client

STYLE = ASSETS["base.css"].content.decode()
# Text on what it stands on.
PAIRS = [("ink", "paper"), ("ink", "sheet"), ("soft", "paper"), ("soft", "sheet"),
         ("accent", "paper"), ("accent", "sheet"), ("on-accent", "accent"),
         ("warn", "warn-sheet"), ("warn", "sheet"), ("paper", "ink")]  # fmt: skip
READABLE = 4.5  # of WCAG 2.2, level AA
STRONGEST_TINT = 0.3


def colours(dark: bool) -> dict[str, tuple[float, ...]]:
    """Return the colours of a scheme, 0 to 255."""
    light_style, _, dark_style = STYLE.partition("@media (prefers-color-scheme: dark)")
    found = {}
    for style in (light_style, dark_style) if dark else (light_style,):
        for name, hexadecimal in re.findall(r"--([\w-]+): #(\w{3,6});", style):
            full = hexadecimal if len(hexadecimal) == 6 else "".join(2 * one for one in hexadecimal)
            found[name] = tuple(bytes.fromhex(full))
        for name, *parts in re.findall(r"--(memory): (\d+) (\d+) (\d+);", style):
            found[name] = tuple(map(int, parts))
    return found


def luminance(colour: tuple[float, ...]) -> float:
    parts = [part / 255 for part in colour]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_can_be_read(text: str, ground: str, dark: bool) -> None:
    found = colours(dark)
    assert contrast(found[text], found[ground]) >= READABLE


@pytest.mark.parametrize("dark", [False, True])
def test_tinted_words_can_be_read(dark: bool) -> None:
    found = colours(dark)
    pairs = zip(found["memory"], found["sheet"], strict=True)
    tinted = tuple(STRONGEST_TINT * a + (1 - STRONGEST_TINT) * b for a, b in pairs)
    assert f"* {STRONGEST_TINT:.1f}".replace("0.", ".") in ASSETS["desk.css"].content.decode()
    assert contrast(found["ink"], tinted) >= READABLE


def test_parts_are_fetched_again_only_if_they_have_changed(shared: Client) -> None:
    first = shared("GET", "/static/app.js")
    assert first.status_code == 200 and "javascript" in first.headers["Content-Type"]
    tag = {"If-None-Match": first.headers["ETag"]}
    assert shared("GET", "/static/app.js", headers=tag).status_code == 304


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_name_nothing_elsewhere(shared: Client, path: str) -> None:
    page = shared("GET", path).text
    assert not re.search(r"(src|href)=\"(?!/|#)", page) and "<script>" not in page
    for name in re.findall(r"/static/([\w.]+)", page):
        assert name in ASSETS


def test_the_page_of_the_api_names_all_of_it(shared: Client) -> None:
    page = shared("GET", "/docs").text
    for path, methods in shared.get("/openapi.json")["paths"].items():
        for method in methods:
            assert f"<code>{method.upper()} {path}</code>" in page
