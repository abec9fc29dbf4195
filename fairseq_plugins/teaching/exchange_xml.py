"""Translation memories and terms in XML: TMX 1.4, TBX, XLIFF 1.2 and 2.0.

Documents are read as a stream, unit by unit, by a parser that follows no references to other files
and rejects documents that define entities.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from fairseq_plugins.teaching.lessons import Pair

CHUNK = 1 << 16  # bytes read at once
LARGEST_UNIT = 1 << 20  # bytes of XML
DEEPEST = 100  # nested elements
INLINE = {"bpt", "ept", "it", "ph", "ut", "hi", "g", "pc", "mrk", "x", "bx", "ex", "sc", "ec"}
NOT_YET = {"new", "needs-translation"}  # states of XLIFF 1.2 without a finished target
OUTDATED = ("deprecated", "superseded")  # parts of the names of states of terms
NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
TMX_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z")


class XMLError(Exception):
    """A document cannot be read beyond a line."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line, self.reason = line, reason


@dataclass
class Element:
    """An element with its contents."""

    name: str
    """Name without namespace."""
    attributes: dict[str, str]
    line: int
    parts: list["Element | str"] = field(default_factory=list)

    def children(self, *names: str) -> Iterator["Element"]:
        """Yield the direct children with these names."""
        for part in self.parts:
            if isinstance(part, Element) and part.name in names:
                yield part

    def within(self, *names: str) -> Iterator["Element"]:
        """Yield all descendants with these names."""
        for part in self.parts:
            if isinstance(part, Element):
                if part.name in names:
                    yield part
                yield from part.within(*names)

    @property
    def text(self) -> str:
        """Return its text, with the text of inline tags, the code they stand for, in its place."""
        texts = (
            part if isinstance(part, str) else part.text if part.name in INLINE else ""
            for part in self.parts
        )
        return "".join(texts)

    @property
    def language(self) -> str:
        """Return its language, or an empty text."""
        return self.attributes.get("xml:lang") or self.attributes.get("lang", "")


@dataclass(frozen=True)
class Unit:
    """Texts that are translations of each other.

    Attributes:
        line: its first line.
        texts: by language; the first of several synonyms is the preferred one.
        about: note, author and so on, as attributes of a pair.
        reason: why it has no texts.
    """

    line: int
    texts: Mapping[str, list[str]] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""


def elements(path: Path, wanted: set[str]) -> Iterator[tuple[Element, dict[str, dict[str, str]]]]:
    """Yield elements of a document with their contents, and forget them.

    Args:
        path: of the document, in UTF-8, UTF-16 or the encoding that it declares.
        wanted: names of the elements.

    Yields:
        The element, and the attributes of its ancestors by their names.

    Raises:
        XMLError: where it is not well-formed, or defines entities.
    """
    building = _Building(wanted)
    parser = building.parser
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                parser.Parse(chunk)
                yield from building.take()
            parser.Parse(b"", True)
            yield from building.take()
    except expat.ExpatError as error:
        yield from building.take()
        raise XMLError(error.lineno, f"not well-formed XML ({error})") from error
    except (LookupError, ValueError) as error:  # encodings unknown to Python or the parser
        raise XMLError(parser.CurrentLineNumber, f"{error}; save it as UTF-8") from error


class _Building:
    """Callbacks of the parser, element by element."""

    def __init__(self, wanted: set[str]) -> None:
        self.wanted = wanted
        self.outer: list[tuple[str, dict[str, str]]] = []
        self.open: list[Element] = []
        self.begin = 0
        self.done: list[tuple[Element, dict[str, dict[str, str]]]] = []
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.characters
        self.parser.EntityDeclHandler = self.refuse
        self.parser.SkippedEntityHandler = self.refuse

    def take(self) -> Iterator[tuple[Element, dict[str, dict[str, str]]]]:
        """Yield the complete elements."""
        done, self.done = self.done, []
        yield from done

    def refuse(self, *_: Any) -> None:
        raise XMLError(self.parser.CurrentLineNumber, "defines or uses entities, which are not "
                       "safe to read; replace them with their text")  # fmt: skip

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        if not self.open and name not in self.wanted:
            self.outer.append((name, attributes))
        else:
            if not self.open:
                self.begin = self.parser.CurrentByteIndex
            element = Element(name, attributes, self.parser.CurrentLineNumber)
            if self.open:
                self.open[-1].parts.append(element)
            self.open.append(element)
        if len(self.outer) + len(self.open) > DEEPEST:
            raise XMLError(self.parser.CurrentLineNumber, "elements are nested too deeply")
        self.check_size()

    def end(self, name: str) -> None:
        if not self.open:
            self.outer.pop()
            return
        element = self.open.pop()
        if not self.open:
            self.done.append((element, dict(self.outer)))

    def characters(self, text: str) -> None:
        if self.open:
            self.open[-1].parts.append(text)
            self.check_size()

    def check_size(self) -> None:
        if self.open and self.parser.CurrentByteIndex - self.begin > LARGEST_UNIT:
            line = self.open[0].line
            raise XMLError(line, f"an element of more than {LARGEST_UNIT:,} bytes")


def tmx(path: Path) -> Iterator[Unit]:
    """Yield the units of a TMX document."""
    for unit, _ in elements(path, {"tu"}):
        texts: dict[str, list[str]] = {}
        for variant in unit.children("tuv"):
            for segment in variant.children("seg"):
                texts.setdefault(variant.language, []).append(segment.text)
        properties = {
            part.attributes.get("type", "").removeprefix("x-"): part.text
            for part in unit.children("prop")
        }
        yield Unit(
            unit.line,
            texts,
            {
                "note": _notes(unit),
                "author": unit.attributes.get("creationid", ""),
                "unit": unit.attributes.get("tuid", ""),
                "created": _from_tmx_time(unit.attributes.get("creationdate", "")),
                "origin": properties.get("origin", ""),
            },
        )


def tbx(path: Path) -> Iterator[Unit]:
    """Yield the concepts of a termbase, without outdated terms."""
    for concept, _ in elements(path, {"termEntry", "conceptEntry"}):
        texts: dict[str, list[str]] = {}
        for section in concept.within("langSet", "langSec"):
            for group in section.children("tig", "ntig", "termSec"):
                states = {part.text for part in group.within("termNote")}
                if any(word in state for state in states for word in OUTDATED):
                    continue
                terms = (term.text for term in group.within("term"))
                texts.setdefault(section.language, []).extend(terms)
        about = {"note": _notes(concept), "unit": concept.attributes.get("id", "")}
        yield Unit(concept.line, texts, about)


def xliff(path: Path) -> Iterator[Unit]:
    """Yield the translated units of an XLIFF document, version 1.2 or 2.0."""
    for unit, outer in elements(path, {"trans-unit", "unit"}):
        file, document = outer.get("file", {}), outer.get("xliff", {})
        source = file.get("source-language") or document.get("srcLang", "")
        target = file.get("target-language") or document.get("trgLang", "")
        about = {"note": _notes(unit), "unit": unit.attributes.get("id", "")}
        segments = [unit] if unit.name == "trans-unit" else list(unit.children("segment"))
        for segment in segments:
            translations = list(segment.children("target"))
            originals = [part.text for part in segment.children("source")]
            if unit.attributes.get("translate") == "no":
                yield Unit(segment.line, reason="is not to be translated")
            elif not translations or translations[0].attributes.get("state") in NOT_YET:
                yield Unit(segment.line, reason="is not translated yet")
            else:
                texts = {source: originals, target: [translations[0].text]}
                yield Unit(segment.line, texts, about)


READERS: dict[str, Callable[[Path], Iterator[Unit]]] = {
    ".tmx": tmx,
    ".tbx": tbx,
    ".xlf": xliff,
    ".xliff": xliff,
}


def _notes(unit: Element) -> str:
    notes = [*unit.children("note"), *(n for p in unit.children("notes") for n in p.parts
             if isinstance(n, Element))]  # fmt: skip
    return " ".join(note.text for note in notes)


def _from_tmx_time(time: str) -> str:
    found = TMX_TIME.fullmatch(time)
    return "{}-{}-{}T{}:{}:{}Z".format(*found.groups()) if found else ""


def tmx_document(pairs: Iterator[tuple[str, Pair]], languages: tuple[str, str]) -> Iterator[str]:
    """Yield the parts of a TMX document.

    Args:
        pairs: ids and pairs to write.
        languages: of source and target.
    """
    source, target = map(_attribute, languages)
    yield (
        '<?xml version="1.0" encoding="UTF-8"?>\n<tmx version="1.4">\n'
        '<header creationtool="fairseq-memory" creationtoolversion="1" segtype="sentence" '
        f'o-tmf="fairseq-memory" adminlang="en" srclang={source} datatype="plaintext"/>\n<body>\n'
    )
    for id, pair in pairs:
        created = re.sub("[-:]", "", pair.created)
        attributes = {"tuid": id, "creationdate": created, "creationid": pair.author}
        named = "".join(f" {name}={_attribute(text)}" for name, text in attributes.items() if text)
        yield f"<tu{named}>\n"
        if pair.note:
            yield f"  <note>{_text(pair.note)}</note>\n"
        if pair.origin:
            yield f'  <prop type="x-origin">{_text(pair.origin)}</prop>\n'
        for language, text in ((source, pair.source), (target, pair.target)):
            yield f"  <tuv xml:lang={language}><seg>{_text(text)}</seg></tuv>\n"
        yield "</tu>\n"
    yield "</body>\n</tmx>\n"


def _text(text: str) -> str:
    return escape(NO_XML.sub("\ufffd", text))


def _attribute(text: str) -> str:
    return quoteattr(NO_XML.sub("\ufffd", text))
