"""An explained translation as a page: one HTML file that needs nothing else, without scripts.

It looks like the server's page. A click on a word leads to the remembered sentences that support
it.
"""

import re
from collections.abc import Iterator
from importlib import resources
from xml.etree.ElementTree import Element, tostring

from fairseq_plugins.teaching.translation import Evidence, Translation

MOST = 5  # remembered sentences for a word
STYLES = ("base.css", "desk.css", "explained.css")
CONTROLS = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")  # have no place in HTML


def explained_page(found: Translation, languages: tuple[str, str]) -> str:
    """Return an explained translation as an HTML document.

    Args:
        found: with evidence.
        languages: of source and target.
    """
    source, target = languages
    style = resources.files("fairseq_plugins.teaching.server") / "static"
    head = _el(
        "head", _el("meta", charset="utf-8"),
        _el("meta", name="viewport", content="width=device-width"),
        _el("title", f"Why “{found.text}”"),
        _el("style", "\n".join((style / name).read_text(encoding="utf-8") for name in STYLES)),
    )  # fmt: skip
    texts = [
        _el("p", found.source, id="source", lang=source),
        _el("p", *_tinted(found), id="translation", lang=target),
    ]
    if found.alone is not None:
        texts.append(_el("p", "Without its memory: ", _el("span", found.alone, lang=target),
                         class_="soft"))  # fmt: skip
    legend = (
        "The stronger the tint of a word, the more of it comes from the memory. Click a word to "
        "see why."
    )
    body = _el(
        "body", _el("header", _el("h1", "Why these words"), class_="top"),
        _el("main", *texts, _el("p", legend, class_="soft"), *_reasons(found, languages)),
    )  # fmt: skip
    page = _el("html", head, body, lang="en")
    return "<!DOCTYPE html>\n" + tostring(page, encoding="unicode", method="html") + "\n"


def _tinted(found: Translation) -> Iterator[Element | str]:
    """Yield the translation, in which each word is a link to its reasons."""
    place = 0
    for number, word in enumerate(found.words):
        yield found.text[place : word.start]
        share = f"--share: {word.memory_share or 0.0:.3f}"
        yield _el("a", word.text, class_="word", href=f"#word-{number}", style=share)
        place = word.end
    yield found.text[place:]


def _reasons(found: Translation, languages: tuple[str, str]) -> Iterator[Element]:
    for number, word in enumerate(found.words):
        listed = [_evidence(one, languages) for one in word.best(MOST)]
        reasons = (
            _el("ul", *listed, class_="evidence")
            if listed
            else _el("p", "No remembered sentence supports this word.", class_="soft")
        )
        title = _el("h2", _el("q", word.text, lang=languages[1]), f" {word.summary}")
        yield _el("section", title, reasons, id=f"word-{number}")


def _evidence(one: Evidence, languages: tuple[str, str]) -> Element:
    source, target = languages
    bar = _el("i", "", style=f"--share: {one.weight:.3f}")
    pair = [_el("span", *_marked(one), lang=target)]
    if one.source is not None:
        pair.append(_el("span", one.source, class_="from", lang=source))
    return _el(
        "li",
        _el("span", f"{one.weight:.0%}" if one.weight else "near", bar, class_="weight"),
        _el("div", *pair, class_="pair"),
        _el("div", f"{one.place} · similarity {one.similarity:.2f}", class_="where"),
    )


def _marked(one: Evidence) -> Iterator[Element | str]:
    """Yield the remembered target with its word marked, or the word if no more is known."""
    text = one.target if one.target is not None else one.word
    inside = re.search(rf"(?<!\S){re.escape(one.word)}(?!\S)", text) if one.word else None
    if inside is None:
        yield text
        return
    yield text[: inside.start()]
    yield _el("mark", one.word)
    yield text[inside.end() :]


def _el(tag: str, /, *children: Element | str, **attributes: str) -> Element:
    """Return an element; texts are escaped when it is written."""
    found = Element(tag, {key.rstrip("_"): _text(value) for key, value in attributes.items()})
    for child in children:
        if isinstance(child, Element):
            found.append(child)
        elif len(found):
            found[-1].tail = (found[-1].tail or "") + _text(child)
        else:
            found.text = (found.text or "") + _text(child)
    return found


def _text(text: str) -> str:
    return CONTROLS.sub("\ufffd", text)
