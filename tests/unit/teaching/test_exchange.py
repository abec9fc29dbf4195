"""Lessons in files: written and read, in all formats, complete and damaged."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from fairseq_plugins.errors import InputError
from fairseq_plugins.teaching.entries import COLUMNS
from fairseq_plugins.teaching.exchange import check_entries, read_entries, write_lessons
from fairseq_plugins.teaching.lessons import Lesson, Pair

EN_DE = ("en", "de")
FORMATS = [".tmx", ".tsv", ".csv", ".jsonl"]
LETTERS = st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffd\ufffe\uffff")
AWKWARD = ['"', '"quoted"', 'say "it"', "a;b,c", "<b>&amp;{0}</b>", "]]>", "'", "=1+1", "-- x"]
TEXTS = st.sampled_from(AWKWARD) | st.text(LETTERS, max_size=20).map(
    lambda text: " ".join(text.split())
)
LESSONS = st.builds(
    Lesson,
    source=TEXTS.filter(bool),
    target=TEXTS.filter(bool),
    origin=TEXTS,
    note=TEXTS,
    author=TEXTS,
    unit=TEXTS.filter(bool),
    created=st.sampled_from(["", "2030-12-31T23:59:59Z"]),
    id=st.integers(1, 99),
    version=st.just(1),
    changed=st.just(""),
)


def pairs(path: Path, languages: tuple[str, str] = EN_DE) -> list[tuple[str, str]]:
    """Return source and target of all entries, none of which is skipped."""
    found = [entry.pair for entry in read_entries(path, languages)]
    assert None not in found
    return [(pair.source, pair.target) for pair in found if pair]


def skipped(path: Path) -> list[tuple[int, str, bool]]:
    """Line, reason and whether it is a fault, of all that is skipped."""
    entries = read_entries(path, EN_DE)
    return [(entry.line, entry.reason, entry.bad) for entry in entries if entry.pair is None]


def xml(path: Path, body: str, encoding: str = "utf-8") -> Path:
    """Return a document."""
    path.write_bytes(f'<?xml version="1.0" encoding="{encoding}"?>\n{body}'.encode(encoding))
    return path


# --- There and back -------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", FORMATS)
@settings(max_examples=50)
@given(lessons=st.lists(LESSONS, max_size=5))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, lessons: list[Lesson]
) -> None:
    """Everything is read again, and writing it again gives the same file."""
    first, second = (tmp_path_factory.mktemp("files") / f"x{suffix}" for _ in "ab")
    assert write_lessons(first, lessons, EN_DE) == len(lessons)
    read = [entry.pair for entry in read_entries(first, EN_DE)]
    assert read == [Pair(**{name: getattr(lesson, name) for name in COLUMNS}) for lesson in lessons]
    again = [replace(lesson, id=100) for lesson in lessons]
    write_lessons(second, again, EN_DE)
    assert first.read_bytes() == second.read_bytes()


def test_ids_are_written_where_the_file_of_origin_gave_none(tmp_path: Path) -> None:
    """Ids identify lessons that come back."""
    path = tmp_path / "x.tmx"
    write_lessons(path, [Lesson(source="a", target="b", id=7, version=7, changed="")], EN_DE)
    assert 'tuid="7"' in path.read_text()
    assert [entry.pair and entry.pair.unit for entry in read_entries(path, EN_DE)] == ["7"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, suffix: str) -> None:
    """Files are written completely or not at all."""
    path = tmp_path / f"x{suffix}"
    path.write_text("old")

    def failing():  # type: ignore[no-untyped-def]
        yield Lesson(source="a", target="b", id=1, version=1, changed="")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        write_lessons(path, failing(), EN_DE)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


# --- TMX ------------------------------------------------------------------------------------------

VARIANT = '<tuv xml:lang="{}"><seg>{}</seg></tuv>'
TU = f'<tu tuid="t1">{VARIANT}{VARIANT}</tu>'
BEGIN = '<!DOCTYPE tmx SYSTEM "tmx14.dtd">\n<tmx version="1.4"><header/><body>\n'


def tmx(*units: str) -> str:
    """Return a document of units, a line each."""
    return BEGIN + "\n".join(units) + "</body></tmx>"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"])
def test_tmx_in_all_encodings(tmp_path: Path, encoding: str) -> None:
    """TMX is read with and without a byte order mark."""
    path = tmp_path / "x.TMX"
    name = encoding.removesuffix("-sig")
    body = f'<?xml version="1.0" encoding="{name}"?>' + tmx(TU.format("en", "fox", "de", "Füchse"))
    path.write_bytes(body.encode(encoding))
    assert pairs(path) == [("fox", "Füchse")]


def test_tmx_languages_match_by_main_code(tmp_path: Path) -> None:
    """The exact language comes first, then the main language, then any of its regions."""
    path = xml(tmp_path / "x.tmx", tmx(TU.format("EN_us", "color", "de-AT", "Jänner")))
    assert pairs(path) == [("color", "Jänner")]
    variants = [VARIANT.format(*one) for one in (("de-AT", "A"), ("de", "D"), ("de-CH", "C"))]
    three = f'<tu>{"".join(variants)}<tuv lang="en"><seg>x</seg></tuv></tu>'
    xml(path, tmx(three))
    for language, text in {"de": "D", "de-CH": "C", "de-LI": "D"}.items():
        assert pairs(path, ("en", language)) == [("x", text)]


def test_tmx_inline_tags_are_text_where_they_stand(tmp_path: Path) -> None:
    """Text within a code does not belong to the sentence."""
    segment = ('Press <bpt i="1">&lt;b&gt;</bpt><hi>OK</hi><ept i="1">&lt;/b&gt;</ept>, '
               '<ph x="1">{0}<sub>a footnote</sub></ph>!')  # fmt: skip
    path = xml(tmp_path / "x.tmx", tmx(TU.format("en", segment, "de", "x")))
    assert pairs(path) == [("Press <b>OK</b>, {0}!", "x")]


def test_tmx_says_what_it_skips_and_where(tmp_path: Path) -> None:
    """Another language and an empty segment are skipped."""
    path = xml(
        tmp_path / "x.tmx", tmx(TU.format("en", "a", "fr", "b"), TU.format("en", " ", "de", "b"))
    )
    assert skipped(path) == [
        (4, "has no text in de", False),
        (5, "lacks a source or a target", False),
    ]


BOMB = ('<!DOCTYPE tmx [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
        "<tmx><body><tu><tuv xml:lang='en'><seg>&b;</seg></tuv></tu></body></tmx>")  # fmt: skip
FILE = ('<!DOCTYPE tmx [<!ENTITY a SYSTEM "{}">]>'
        "<tmx><body><tu><tuv xml:lang='en'><seg>&a;</seg></tuv></tu></body></tmx>")  # fmt: skip


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (BOMB, "entities"),
        (FILE.format("file:///etc/passwd"), "entities"),
        (FILE.format("http://127.0.0.1:1/x"), "entities"),
        ("<!DOCTYPE tmx SYSTEM 'http://127.0.0.1:1/x.dtd'><tmx><tu>&a;</tu></tmx>", "entities"),
        ("<tmx>" * 200, "nested too deeply"),
        (f"<tmx><tu>{'<seg/>' * 200_000}</tu></tmx>", "an element of more than"),
        ("<tmx><tu>", "not well-formed"),
        ("", "not well-formed"),
    ],
    ids=["bomb", "file", "network", "dtd", "deep", "large", "cut", "empty"],
)
def test_dangerous_and_damaged_documents(tmp_path: Path, body: str, reason: str) -> None:
    """The message names the line."""
    path = xml(tmp_path / "x.tmx", body)
    with pytest.raises(InputError, match=reason) as caught:
        check_entries(path, EN_DE)
    assert f"{path}, line " in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["nosuch", "rot13", "zlib", "utf-7", "shift_jis"])
def test_encodings_that_xml_does_not_read(tmp_path: Path, encoding: str) -> None:
    """The error is one line, whatever encoding the document declares."""
    path = tmp_path / "x.tmx"
    path.write_text(f'<?xml version="1.0" encoding="{encoding}"?><tmx/>')
    with pytest.raises(InputError, match="line 1"):
        check_entries(path, EN_DE)


def test_keep_going_takes_what_comes_before_the_damage(tmp_path: Path) -> None:
    """The report says where the damage is."""
    path = xml(tmp_path / "x.tmx", tmx(TU.format("en", "a", "de", "b"), "<tu>"))
    with pytest.raises(InputError, match="keep-going"):
        check_entries(path, EN_DE)
    assert check_entries(path, EN_DE, keep_going=True) == 2
    good, bad = read_entries(path, EN_DE)
    assert good.pair is not None and bad.bad and bad.line == 5


# --- TBX and XLIFF --------------------------------------------------------------------------------


def test_tbx_terms(tmp_path: Path) -> None:
    """Synonyms get the preferred translation; outdated terms are left out."""
    old = '<termNote type="administrativeStatus">deprecatedTerm-admn-sts</termNote>'
    body = f"""<martif><text><body><termEntry id="c1"><descrip>a gene</descrip><note>n</note>
      <langSet xml:lang="en"><tig><term>gene</term></tig><tig><term>cistron</term></tig></langSet>
      <langSet xml:lang="de"><ntig><termGrp><term>Erbanlage</term>{old}</termGrp></ntig>
      <tig><term>Gen</term></tig></langSet></termEntry></body></text></martif>"""
    path = xml(tmp_path / "x.tbx", body)
    assert pairs(path) == [("gene", "Gen"), ("cistron", "Gen")]
    entry = next(read_entries(path, EN_DE))
    assert entry.pair is not None and (entry.pair.unit, entry.pair.note) == ("c1", "n")
    section = '<langSec xml:lang="{}"><termSec><term>{}</term></termSec></langSec>'
    sections = section.format("en", "x") + section.format("de", "y")
    newer = (
        '<tbx xmlns="urn:iso:std:iso:30042:ed-2"><text><body><conceptEntry id="1">'
        f"{sections}</conceptEntry></body></text></tbx>"
    )
    assert pairs(xml(path, newer)) == [("x", "y")]


def test_xliff_1_2(tmp_path: Path) -> None:
    """Translated segments are read in the requested direction."""
    body = """<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">
      <file source-language="en-US" target-language="de"><body><group>
      <trans-unit id="u1"><source>Save <g id="1">all</g><x id="2"/></source>
        <target state="translated">Alles <g id="1">sichern</g></target>
        <note>menu</note></trans-unit>
      <trans-unit id="u2"><source>a</source></trans-unit>
      <trans-unit id="u3"><source>a</source><target state="new">a</target></trans-unit>
      <trans-unit id="u4" translate="no"><source>a</source><target>b</target></trans-unit>
      </group></body></file></xliff>"""
    path = xml(tmp_path / "x.xlf", body)
    first, *others = read_entries(path, EN_DE)
    assert first.pair == Pair(source="Save all", target="Alles sichern", note="menu", unit="u1")
    assert [(entry.line, entry.reason) for entry in others] == [
        (7, "is not translated yet"), (8, "is not translated yet"), (9, "is not to be translated")
    ]  # fmt: skip
    back = next(read_entries(path, ("de", "en")))
    assert back.pair is not None and back.pair.target == "Save all"


def test_xliff_2_0(tmp_path: Path) -> None:
    """Translated segments are read one by one."""
    body = """<xliff version="2.0" srcLang="en" trgLang="de"
        xmlns="urn:oasis:names:tc:xliff:document:2.0">
      <file id="f"><unit id="u"><notes><note>n</note></notes>
      <segment><source>One <pc id="1">two</pc><ph id="2"/>.</source>
        <target>Eins zwei.</target></segment>
      <ignorable><source> </source></ignorable>
      <segment><source>Three.</source></segment></unit></file></xliff>"""
    first, second = read_entries(xml(tmp_path / "x.xliff", body), EN_DE)
    assert first.pair == Pair(source="One two.", target="Eins zwei.", note="n", unit="u")
    assert second.pair is None


# --- Tables and JSON lines ------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".tsv", 'fox\tFüchse{0}"a"\t"b ""c"""{0}"d" e\tf{0}'),
        (".csv", 'fox,Füchse{0}a,"b ""c"""{0}"""d"" e",f{0}'),
        (".csv", 'de;en{0}Füchse;fox{0}"b ""c""";a{0}f;"""d"" e"'),
        (".tsv", 'note\tTarget\tsource{0}x\tFüchse\tfox{0}\t"b ""c"""\ta{0}\tf\t"d" e'),
        (".jsonl", '{{"source": "fox", "target": "F\\u00fcchse"}}{0}{0}'
                   '{{"target": "b \\"c\\"", "source": "a", "x": 1}}{0}'
                   '{{"source": "\\"d\\" e", "target": "f"}}'),
    ],
    ids=["tsv", "csv", "languages", "header", "jsonl"],
)  # fmt: skip
def test_tables(tmp_path: Path, suffix: str, text: str, end: str, encoding: str) -> None:
    """Tables may be quoted, have a header, and use any encoding."""
    path = tmp_path / f"x{suffix}"
    path.write_bytes(text.format(end).encode(encoding))
    assert pairs(path) == [("fox", "Füchse"), ("a", 'b "c"'), ('"d" e', "f")]


@pytest.mark.parametrize(
    ("suffix", "text", "line", "reason"),
    [
        (".tsv", "a\tb\nc\n", 2, "1 column"),
        (".csv", 'a,b\n"c\nd",e\nf\n', 4, "1 column"),
        (".csv", 'a,b\nc,"d\ne,f\n', 2, "not CSV"),
        (".jsonl", '{"source": "a", "target": "b"}\n[1]\n', 2, "not an object"),
        (".jsonl", '{"source": "a", "target": 5}\n', 1, "not a text"),
        (".jsonl", '{"source": "a"', 1, "not JSON"),
        (".jsonl", "[" * 100_000, 1, "not JSON"),
        (".jsonl", '{"source": "\\ud800", "target": "b"}', 1, "not UTF-8"),
        (".tsv", f"a\t{'b' * 30_000}\n", 1, "longer than"),
        (".tsv", "b" * 3_000_000, 1, "1 column"),
    ],
)
def test_faults_of_tables(tmp_path: Path, suffix: str, text: str, line: int, reason: str) -> None:
    """The message names the line; nothing changes unless keep_going is set."""
    path = tmp_path / f"x{suffix}"
    path.write_text(text)
    with pytest.raises(InputError, match=reason) as caught:
        check_entries(path, EN_DE)
    assert f"{path}, line {line}: " in str(caught.value)
    entries = list(read_entries(path, EN_DE))
    assert next(entry for entry in entries if entry.bad).line == line


def test_what_is_no_time_is_left_out(tmp_path: Path) -> None:
    """Lessons are selected by their time, so it must be one."""
    path = tmp_path / "terms.csv"
    path.write_text("en,de,created\ncat,Katze,yesterday\ndog,Hund,2030-12-31T12:00:00Z\n")
    pairs = [entry.pair for entry in read_entries(path, EN_DE)]
    assert [pair.created for pair in pairs if pair] == ["", "2030-12-31T12:00:00Z"]


def test_bytes_that_are_not_text(tmp_path: Path) -> None:
    """Latin 1 is rejected, for instance."""
    path = tmp_path / "x.tsv"
    path.write_bytes("fox\tFüchse\n".encode("latin-1"))
    assert skipped(path) == [(1, "contains a NUL, or bytes that are not UTF-8", True)]


def test_formats_that_are_not_known(tmp_path: Path) -> None:
    """The message lists the known formats, for reading and for writing."""
    with pytest.raises(InputError, match=r"\.tmx.*\.jsonl"):
        read_entries(tmp_path / "x.docx", EN_DE)
    with pytest.raises(InputError, match=r"\.tmx.*\.jsonl"):
        write_lessons(tmp_path / "x.xlf", [], EN_DE)
    with pytest.raises(FileNotFoundError):
        check_entries(tmp_path / "missing.tmx", EN_DE)


# --- Large files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", FORMATS)
def test_memory_does_not_grow_with_the_file(tmp_path: Path, suffix: str) -> None:
    """Reading and writing are streamed."""
    peaks = []
    for count in (1_000, 8_000):
        lessons = (
            Lesson(source=f"source {n}", target="target" * 10, id=n, version=n, changed="")
            for n in range(1, count + 1)
        )
        path = tmp_path / f"{count}{suffix}"
        tracemalloc.start()
        write_lessons(path, lessons, EN_DE)
        assert check_entries(path, EN_DE) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 200_000
