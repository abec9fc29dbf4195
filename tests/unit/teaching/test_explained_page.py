"""An explained translation as a page."""

import re
from html.parser import HTMLParser

from fairseq_plugins.teaching.explained_page import explained_page
from fairseq_plugins.teaching.shown import explained_text
from fairseq_plugins.teaching.translation import Evidence, Translation, Word

ATTACK = """<script>alert(1)</script><img src=x onerror='a()'>"&lt;\x01"""
EN_DE = ("en", "de")


class Read(HTMLParser):
    """What a browser finds in a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data


def word(text: str, start: int, *evidence: Evidence, share: float | None = 0.0) -> Word:
    return Word(text, start, start + len(text), 0.9, share, list(evidence))


def test_every_word_leads_to_what_supports_it() -> None:
    lesson = Evidence("The cat", "die Katze da", "Katze", 0.98, 0.7, 3, "me")
    line = Evidence(None, None, "Katze", 0.9, 0.1, None, "news, line 7", others=2)
    little = Evidence(None, None, "Kat", 0.1, 0.001, None, "law, line 1")
    words = [word("Die", 1), word("Katze", 5, lesson, line, little, share=0.8)]
    page = Read(explained_page(Translation("The cat.", " Die Katze.", -1.0, words), EN_DE))
    assert " Die Katze." in page.text and "The cat." in page.text
    links = [found["href"] for tag, found in page.tags if tag == "a"]
    sections = [f"#{found['id']}" for tag, found in page.tags if tag == "section"]
    assert links == sections == ["#word-0", "#word-1"]
    assert [found["style"] for tag, found in page.tags if tag == "a"][1] == "--share: 0.800"
    for told in (
        "90% probable, by the network alone", "No remembered sentence supports this word.",
        "90% probable, 80% of that from the memory", "70%die Katze daThe cat",
        "lesson 3, me · similarity 0.98", "news, line 7 and 2 earlier places · similarity 0.90",
    ):  # fmt: skip
        assert told in page.text, told
    assert "law" not in explained_text(Translation("", " Die Katze.", -1.0, words), colour=False)
    assert "law" not in page.text and sum(tag == "mark" for tag, _ in page.tags) == 2


def test_texts_stay_texts() -> None:
    """Nothing that was taught or translated becomes a tag."""
    evil = Evidence(ATTACK, f"x {ATTACK}", ATTACK, 0.5, 0.5, 1, ATTACK)
    words = [word(ATTACK, 0, evil, share=0.5)]
    html = explained_page(Translation(ATTACK, ATTACK, -1.0, words, alone=ATTACK), EN_DE)
    page = Read(html)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "img"})
    assert page.text.count("<script>alert(1)</script><img src=x onerror='a()'>\"&lt;\ufffd") >= 6
    assert "\x01" not in html


def test_it_fetches_nothing() -> None:
    html = explained_page(Translation("a", "b", -1.0, [word("b", 0)]), EN_DE)
    assert not re.search(r"(?i)https?:|//[a-z]|url\(|@import|<script|<link", html)


def test_without_shares_the_translation_without_memory_is_beside_it() -> None:
    near = Evidence("s", "t u", "u", 0.75, 0.0, 2, "")
    words = [word("b", 0, near, share=None)]
    page = Read(explained_page(Translation("a", "b", -1.0, words, alone="other"), EN_DE))
    assert "Without its memory: other" in page.text and "90% probable" in page.text
    assert "nearts uslesson 2" not in page.text and "neart us" in page.text
    assert "from the memory" not in page.text.partition("Click a word")[2]
