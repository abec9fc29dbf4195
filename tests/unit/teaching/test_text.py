"""Sentences, and what in them is not translated."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from fairseq_plugins.teaching.text import (
    Pieces,
    among_marks,
    normalise,
    sentences,
    with_marks,
    without_marks,
)


@given(st.text() | st.text(st.sampled_from(list("Ab1.!?。 \n\t\"'<b>{}%d"))))
def test_sentences_and_what_is_between_them_are_the_text(text: str) -> None:
    """Nothing is lost, including blanks and line ends."""
    parts = list(sentences(text))
    assert "".join(gap + sentence for gap, sentence in parts) == text
    assert all(not gap.strip() and sentence == sentence.strip() for gap, sentence in parts)


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("One. Two! Three? (Four.) Five", ["One.", "Two!", "Three?", "(Four.)", "Five"]),
        ("  Ask Mr. Smith, z.B. Anna. He knows.", ["Ask Mr. Smith, z.B. Anna.", "He knows."]),
        ("Am 3. Mai. J. S. Bach!", ["Am 3. Mai.", "J. S. Bach!"]),
        ("It costs 3.50 or so. in all", ["It costs 3.50 or so. in all"]),
        ("你好。再见!", ["你好。", "再见!"]),
        ("One\n\n two. Three.\n", ["One", "two.", "Three."]),
        ("„Nein.“ Sie ging.", ["„Nein.“", "Sie ging."]),
        ("", []),
        (" \n ", []),
    ],
)
def test_where_sentences_end(text: str, cut: list[str]) -> None:
    """Punctuation ends sentences, unless its context rules it out."""
    assert [sentence for _, sentence in sentences(text) if sentence] == cut


def test_normalise() -> None:
    """Text becomes NFC, with single spaces."""
    assert normalise(" a\u0308\tb\x00c\n") == "ä b c"


@pytest.mark.parametrize(
    ("sentence", "plain", "marks"),
    [
        ("Click <b>OK</b> now.", "Click OK now.", ["<b>", "</b>"]),
        ("Hello {0}!", "Hello!", ["{0}"]),
        ("%d of %(n)s files, 50 % done, %1$s", "of files, 50 % done,", ["%d", "%(n)s", "%1$s"]),
        ("See https://a.b/c?d=e. Or a@b.org", "See. Or", ["https://a.b/c?d=e", "a@b.org"]),
        ("a < b and c > d & e", "a < b and c > d & e", []),
        ("x&nbsp;y ${z} {{w}}", "x y", ["&nbsp;", "${z}", "{{w}}"]),
        ("{0}", "", ["{0}"]),
    ],
)
def test_marks_are_taken_out(sentence: str, plain: str, marks: list[str]) -> None:
    """What only looks like a mark stays."""
    found, taken = without_marks(sentence)
    assert (found, [mark.text for mark in taken]) == (plain, marks)


def words(text: str) -> Pieces:
    """Return a text in which each word is a piece, and signs behind a word are pieces, too."""
    spans, begin = [], 0
    for word in text.split():
        begin = text.index(word, begin)
        core = word.rstrip(".!,")
        spans += [(begin, begin + len(core))] * bool(core)
        spans += [(n, n + 1) for n in range(begin + len(core), begin + len(word))]
        begin += len(word)
    return Pieces(text, spans)


@pytest.mark.parametrize(
    ("sentence", "translation", "aligned", "expected"),
    [
        ("Click <b>OK</b> now.", "Jetzt OK klicken.", [2, 1, 0, 3], "Jetzt <b>OK</b> klicken."),
        ("Click <b>the button</b>.", "Den Knopf klicken.", [1, 2, 0, 3],
         "<b>Den Knopf</b> klicken."),
        ("{0} files", "Dateien", [0], "{0} Dateien"),
        ("Hello {0}!", "Hallo!", [0, 1], "Hallo {0}!"),
        ("Delete {0} now?", "Jetzt löschen?", [1, 0, 0], "{0} Jetzt löschen?"),
        ("Delete {0}", "Löschen", [0], "Löschen {0}"),
        ("<p>Yes.</p>", "Ja.", [0, 1], "<p>Ja.</p>"),
        ("<i><b>a</b></i> b", "b a", [1, 0], "b <i><b>a</b></i>"),
        ("a {0} {1} b", "c d", [0, 1], "c {0} {1} d"),
        ("a<br/>b c", "x y z", [0, 1, 2], "x <br/>y z"),
        ("a <b>b</b>", "x", [9], "x <b></b>"),
    ],
)  # fmt: skip
def test_marks_are_put_back(
    sentence: str, translation: str, aligned: list[int], expected: str
) -> None:
    """Marks go to the words that translate those beside which they stood."""
    plain, marks = without_marks(sentence)
    target = words(translation)
    marked = with_marks(words(plain), marks, target, aligned)
    assert marked.text == expected
    found = [expected[a:b] for a, b in marked.spans]
    assert found == [translation[a:b] for a, b in target.spans], "pieces are where they say"


MARKED = st.lists(
    st.sampled_from(["<b>", "</b>", "{0}", "%s", "word", "two", ".", " ", "https://x.org/y"])
).map("".join)


@given(MARKED, st.lists(st.sampled_from(["ein", "wort", "."])), st.data())
def test_every_mark_comes_through_once(
    sentence: str, translated: list[str], data: st.DataObject
) -> None:
    """This holds for every alignment."""
    plain, marks = without_marks(sentence)
    source, target = words(plain), words(" ".join(translated))
    numbers = st.integers(0, max(0, len(source.spans)))
    aligned = [data.draw(numbers) for _ in target.spans]
    marked = with_marks(source, marks, target, aligned)
    assert len(marked.spans) == len(target.spans)
    text = marked.text
    for mark in sorted(marks, key=lambda mark: -len(mark.text)):  # one may be a part of another
        assert mark.text in text
        text = text.replace(mark.text, "", 1)
    assert text.replace(" ", "") == target.text.replace(" ", "")


@given(MARKED)
def test_pieces_are_found_among_marks(sentence: str) -> None:
    """Pieces are found character by character."""
    plain = words(without_marks(sentence)[0])
    marked = among_marks(sentence, plain)
    for (a, b), (c, d) in zip(plain.spans, marked.spans, strict=True):
        assert marked.text[c] == plain.text[a] and marked.text[d - 1] == plain.text[b - 1]
