"""Raw text as people write it: lines, sentences, and mark-up that is not translated.

A translator is given sentences of plain words. This module keeps what is around and between them:
white space and line ends as they are, and tags, placeholders and addresses, which are taken out
before a sentence is translated and put back at the words that translate those beside which they
stood.
"""

import operator
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fairseq_plugins.errors import InputError

# A sentence ends here unless what follows rules it out.
END = re.compile(r"[.!?…]+[\"'”“’»)\]]*\s+(?=[\"'„“‚«(\[¿¡]*\w)|[。！？]+[”’」』）]*\s*(?=\S)")
ABBREVIATIONS = frozenset([
    "mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "no.", "vs.", "etc.", "e.g.", "i.e.", "fig.",
    "co.", "approx.", "inc.", "ltd.", "jr.", "sr.", "z.b.", "d.h.", "u.a.", "bzw.", "ca.", "usw.",
    "nr.", "str.", "evtl.", "ggf.", "vgl.", "hr.", "fr.", "abs.", "bd.", "m.", "mme.", "p.", "pp.",
])  # fmt: skip
INITIALS = re.compile(r"(?:\w\.)+|\d+\.", re.UNICODE)
MARK = re.compile(
    r"</?[A-Za-z][^<>]*>"  # tags
    r"|\{\{[^{}]*\}\}|\$?\{[^{}\s]*\}"  # {{name}}, {0}, ${name}
    r"|%\([^()\s]+\)[a-z]|%(?:\d+\$)?[-+0#]*\d*(?:\.\d+)?[sdifuxcg@](?!\w)"  # %(name)s, %1$s, %d
    r"|&(?:#\d+|#x[0-9A-Fa-f]+|[A-Za-z]\w*);"  # entities
    r"|\b(?:https?|ftp)://[^\s<>\"']*[^\s<>\"'.,;:!?)]"
    r"|\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
)

SURROGATE = re.compile("[\ud800-\udfff]")  # Python's sign for a byte that is not UTF-8
SHOWN = 60  # characters of a text quoted in a message
OPENING, CLOSING = "([{„‚«¿¡", ".,;:!?…)]}»”’%"  # signs without a space after, or before, them
_PLACE = operator.itemgetter(0)

ADJACENT = re.compile(f"(?:{MARK.pattern})+")


def normalise(text: str) -> str:
    """Convert a text to NFC, and control characters and runs of white space to one space.

    Raises:
        InputError: if it contains bytes that are not UTF-8, as surrogates.
    """
    if not text.isprintable():
        if SURROGATE.search(text):
            raise InputError(f"{text[:SHOWN]!a}: contains bytes that are not UTF-8; convert it")
        text = "".join(" " if unicodedata.category(sign) == "Cc" else sign for sign in text)
    return " ".join(unicodedata.normalize("NFC", text).split())


def sentences(text: str) -> Iterator[tuple[str, str]]:
    """Split a text into sentences.

    Args:
        text: with any number of lines.

    Yields:
        White space, and the sentence that follows it, which may be empty at the end. Together they
            make up the text.
    """
    for part in re.findall(r"\s*[^\n]*", text):
        line = part.lstrip()
        gap = part[: len(part) - len(line)]
        if not line:
            if gap:
                yield gap, ""
            continue
        begin = 0
        for end in (*_ends(line), len(line)):
            sentence = line[begin:end].rstrip()
            yield gap, sentence
            gap, begin = line[begin + len(sentence) : end], end
        if gap:
            yield gap, ""


def _ends(line: str) -> Iterator[int]:
    """Yield where the next sentences of a line begin."""
    for found in END.finditer(line):
        last = line[: found.end()].split()[-1].strip("\"'”’»()[]„“‚«").lower()
        following = next((sign for sign in line[found.end() :] if sign.isalnum()), "")
        stop = found[0].strip()[0] == "."
        if following.islower() or (stop and (last in ABBREVIATIONS or INITIALS.fullmatch(last))):
            continue
        yield found.end()


@dataclass(frozen=True)
class Mark:
    """Something in a sentence that is not translated.

    Attributes:
        text: its text.
        position: of the character that follows it, in the sentence without marks.
        before: what precedes it and the marks that it touches: a space, a letter, or a sign.
        after: what follows them.
        joined: whether it touches the next mark.
    """

    text: str
    position: int
    before: str
    after: str
    joined: bool = False

    @property
    def closes(self) -> bool:
        """Whether it belongs to what precedes it."""
        return self.text.startswith("</")

    @property
    def opens(self) -> bool:
        """Whether it belongs to what follows it, and will be closed."""
        return (
            self.text.startswith("<")
            and not self.closes
            and not self.text.endswith("/>")
            and self.text != "<br>"
        )

    @property
    def within(self) -> bool:
        """Whether it is within a word."""
        return self.before.isalnum() and self.after.isalnum() and not self.separates

    @property
    def separates(self) -> bool:
        """Whether it separates two words: it is not a tag of a pair."""
        return not (self.opens or self.closes)


def without_marks(sentence: str) -> tuple[str, list[Mark]]:
    """Take out marks.

    Returns:
        The normalised sentence without marks, and the marks in their order.
    """
    plain, marks, begin = "", list[Mark](), 0
    for group in ADJACENT.finditer(sentence):  # between the same two signs
        plain = _joined(plain, sentence[begin : group.start()])
        before, after = sentence[: group.start()][-1:] or " ", sentence[group.end() :][:1] or " "
        found = [
            Mark(mark[0], 0, before, after, joined=mark.end() < len(group[0]))
            for mark in MARK.finditer(group[0])
        ]
        if after in CLOSING:
            plain = plain.rstrip()
        elif before.isalnum() and after.isalnum() and any(mark.separates for mark in found):
            plain += " "
        marks += [replace(mark, position=len(plain)) for mark in found]
        begin = group.end()
    plain = _joined(plain, sentence[begin:])
    plain = plain.rstrip()
    return plain, [replace(mark, position=min(mark.position, len(plain))) for mark in marks]


def _joined(plain: str, part: str) -> str:
    """Append a part, with one space instead of several."""
    part = re.sub(r"\s+", " ", unicodedata.normalize("NFC", part))
    if not plain or plain.endswith(" "):
        part = part.lstrip()
    return plain + part


@dataclass(frozen=True)
class Pieces:
    """A text, and the position of each of its pieces.

    Attributes:
        text: the text.
        spans: begin and end of each piece in it.
    """

    text: str
    spans: Sequence[tuple[int, int]]

    def between(self, start: int, stop: int) -> list[int]:
        """Return the numbers of the pieces with a character in [start, stop)."""
        return [
            number for number, (begin, end) in enumerate(self.spans)
            if begin < stop and end > start
        ]  # fmt: skip


def with_marks(
    source: Pieces, marks: Sequence[Mark], target: Pieces, aligned: Sequence[int]
) -> Pieces:
    """Put marks back into the translation of a sentence.

    An opening tag or a placeholder goes before the first word that translates what followed it, a
    closing tag after the last word that translates what preceded it.

    Args:
        source: the sentence without marks.
        marks: of the sentence.
        target: its translation.
        aligned: for each piece of the target, the piece of the source that it translates.

    Returns:
        The translation with each mark once, and the positions of the target's pieces in it.
    """
    text, spans = target.text, list(target.spans)
    for place, mark in sorted(_places(source, marks, target, aligned), key=_PLACE)[::-1]:
        inserted = _spaced(text[:place], mark, text[place:])
        text = text[:place] + inserted + text[place:]
        for piece, (begin, end) in enumerate(target.spans):
            left, right = spans[piece]
            moved = len(inserted)
            spans[piece] = left + moved * (begin >= place), right + moved * (end > place)
    return Pieces(text, spans)


def among_marks(marked: str, plain: Pieces) -> Pieces:
    """Find the pieces of a sentence without marks in the sentence with marks.

    Args:
        marked: the sentence.
        plain: result of :func:`without_marks`, in pieces.
    """
    marked = unicodedata.normalize("NFC", marked)
    within = {place for mark in MARK.finditer(marked) for place in range(*mark.span())}
    signs = [p for p, sign in enumerate(marked) if p not in within and not sign.isspace()]
    before = [0]  # signs before each position of the plain text, not counting spaces
    for sign in plain.text:
        before.append(before[-1] + (not sign.isspace()))
    spans = []
    for begin, end in plain.spans:
        covered = signs[before[begin] : before[end]]
        spans.append((covered[0], covered[-1] + 1) if covered else (0, 0))
    return Pieces(marked, spans)


def _spaced(left: str, mark: Mark, right: str) -> str:
    """Return a mark with the spaces that it needs between its neighbours."""
    touches_left, touches_right = left[-1:], right[:1]
    before = touches_left and not touches_left.isspace() and touches_left not in OPENING
    after = touches_right and not touches_right.isspace() and touches_right not in CLOSING
    space_before = before and _apart(mark.before, touches_left)
    keeps_touching = mark.joined and MARK.match(right)
    space_after = after and not keeps_touching and _apart(mark.after, touches_right)
    return " " * bool(space_before) + mark.text + " " * bool(space_after)


def _apart(stood_by: str, stands_by: str) -> bool:
    """Return whether a mark that did not touch a word must not touch one now."""
    return stood_by.isspace() or (stands_by.isalnum() and not stood_by.isalnum())


def _places(
    source: Pieces, marks: Sequence[Mark], target: Pieces, aligned: Sequence[int]
) -> Iterator[tuple[int, Mark]]:
    """Return the position of each mark in the target; no mark closes before it opens."""
    opened: list[int] = []
    for mark in marks:
        place = _place(source, mark, target, aligned)
        if mark.closes:
            place = max(place, opened.pop() if opened else 0)
        elif mark.opens:
            opened.append(place)
        yield place, mark


def _place(source: Pieces, mark: Mark, target: Pieces, aligned: Sequence[int]) -> int:
    following = sum(begin < mark.position for begin, _ in source.spans)
    if following == len(source.spans) and not mark.closes:
        return len(target.text)
    translations: dict[int, list[int]] = {}
    for piece, origin in enumerate(aligned):
        translations.setdefault(origin, []).append(piece)
    forwards = range(following, len(source.spans))
    backwards = range(following - 1, -1, -1)
    behind = mark.closes
    for origins in (backwards, forwards) if behind else (forwards, backwards):
        for origin in origins:
            if origin in translations:
                pieces = [target.spans[piece] for piece in translations[origin]]
                place = max(end for _, end in pieces) if behind else min(b for b, _ in pieces)
                return place if mark.within else _word_edge(target.text, place, behind)
        behind = not behind
    return len(target.text)


def _word_edge(text: str, place: int, behind: bool) -> int:
    """Return the end, or the beginning, of the word at a position."""
    step = 1 if behind else -1
    while 0 < place < len(text) and text[place - 1].isalnum() and text[place].isalnum():
        place += step
    return place


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 lesson``, ``2,000 lessons``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
