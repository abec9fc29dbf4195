"""Documents with parallel text: complete, damaged, and unusual ones."""

import gzip
from pathlib import Path

import pytest

from data_prep.core.program import DataError
from data_prep.text.documents import SAMPLED, read_sgm, read_table, read_tmx

LANGUAGES = ("en", "de")


def test_segments_of_sgml(tmp_path: Path) -> None:
    path = tmp_path / "test.sgm"
    path.write_text(
        '<srcset setid="x">\n<doc>\n<p>\n'
        '<seg id="1">He said &quot;AT&amp;T &lt; 3&quot; &amp;lt;.</seg>\n'
        '<SEG id="2"> Zwei </SEG>\n</p>\n</doc>\n'
    )
    assert list(read_sgm(path)) == ['He said "AT&T < 3" &lt;.', "Zwei"]


def test_letters_that_change_their_length_with_their_case(tmp_path: Path) -> None:
    path = tmp_path / "test.sgm"
    path.write_text('<SEG id="1">\u0130stanbul and \u0130zmir</SEG>\n', "utf-8")
    assert list(read_sgm(path)) == ["\u0130stanbul and \u0130zmir"]


@pytest.mark.parametrize(("text", "error"), [("<seg>no end\n", "line 1"), ("", "empty file")])
def test_bad_sgml(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "test.sgm"
    path.write_text(text)
    with pytest.raises(DataError, match=error):
        list(read_sgm(path))


def test_columns(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("url\tone\teins\nurl\ttwo\tzwei\n")
    assert list(read_table(path, "tsv", LANGUAGES, (2, 3))) == [("one", "eins"), ("two", "zwei")]
    with pytest.raises(DataError, match=r"x\.tsv, line 1: 3 columns, 4 are needed"):
        list(read_table(path, "tsv", LANGUAGES, (2, 4)))


def test_columns_that_are_not_utf8_are_left_to_the_cleaning(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes(b"for\tf\xfcr\n")
    assert list(read_table(path, "tsv", LANGUAGES)) == [("for", "f\ufffdr")]


TMX = """<?xml version="1.0" encoding="UTF-8"?>
<tmx version="1.4"><header/><body>
<tu><tuv xml:lang="en-GB"><seg>Press <bpt i="1"/>Enter<ept i="1"/>
 now &amp; here</seg></tuv><tuv xml:lang="DE"><seg>Jetzt</seg></tuv></tu>
<tu><tuv xml:lang="en"><seg>only English</seg></tuv></tu>
<tu><tuv lang="de"><seg>zwei</seg></tuv><tuv lang="en"><seg>two</seg></tuv></tu>
</body></tmx>
"""


@pytest.mark.parametrize("packed", [False, True])
def test_segments_of_a_translation_memory(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / ("x.tmx.gz" if packed else "x.tmx")
    path.write_bytes(gzip.compress(TMX.encode()) if packed else TMX.encode())
    assert list(read_tmx(path, ("en", "de"))) == [
        ("Press Enter now & here", "Jetzt"),
        ("two", "zwei"),
    ]


def test_codes_of_other_programs_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "x.tmx"
    bold = '<bpt i="1">&lt;b&gt;</bpt>Enter<ept i="1">&lt;/b&gt;</ept><ph>{1}</ph>'
    marked = f"Press {bold} <hi>now</hi>"
    path.write_text(TMX.replace("only English", marked).replace("</tu>\n<tu><tuv lang", "<tuv "
                    'xml:lang="pt_BR"><seg>Agora</seg></tuv></tu>\n<tu><tuv lang'))  # fmt: skip
    for portuguese in ("pt-BR", "pt"):
        assert list(read_tmx(path, ("en", portuguese))) == [("Press Enter now", "Agora")]


def test_regions_are_not_taken_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "x.tmx"
    units = "".join(
        f'<tu><tuv lang="en"><seg>bus</seg></tuv>{variants}</tu>' for variants in (
            '<tuv lang="pt-PT"><seg>autocarro</seg></tuv>',
            '<tuv lang="pt-PT"><seg>autocarro</seg></tuv><tuv lang="pt-BR"><seg>x</seg></tuv>',
            '<tuv lang="pt"><seg>first</seg></tuv><tuv lang="pt"><seg>second</seg></tuv>',
        )
    )  # fmt: skip
    path.write_text(f"<tmx><body>{units}</body></tmx>")
    assert list(read_tmx(path, ("en", "pt-BR"))) == [("bus", "x"), ("bus", "first")]
    assert [pair[1] for pair in read_tmx(path, ("en", "pt"))] == ["autocarro", "autocarro", "first"]


@pytest.mark.parametrize("cut", [300, -20])
def test_a_packed_translation_memory_that_is_cut_short(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "x.tmx.gz"
    path.write_bytes(gzip.compress(TMX.encode())[: cut if cut < 0 else cut // 2])
    with pytest.raises(DataError, match=r"x\.tmx\.gz.*(damaged or cut short|not TMX)"):
        list(read_tmx(path, ("en", "de")))


def test_a_translation_memory_in_an_encoding_that_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "x.tmx"
    path.write_text(TMX.replace("UTF-8", "shift_jis"))
    with pytest.raises(DataError, match=r"x\.tmx: .*save it as UTF-8"):
        list(read_tmx(path, ("en", "de")))


def test_a_translation_memory_that_is_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "x.tmx"
    path.write_text(TMX[:300])
    with pytest.raises(DataError, match=r"x\.tmx, line \d+: not TMX"):
        list(read_tmx(path, ("en", "de")))


def memory_of(path: Path, english: str, german: str) -> Path:
    """Return a translation memory of one unit."""
    variants = f'<tuv lang="en"><seg>{english}</seg></tuv><tuv lang="de"><seg>{german}</seg></tuv>'
    path.write_text(f"<tmx><body><tu>{variants}</tu></body></tmx>", "utf-8")
    return path


def test_an_embedded_text_is_one_of_its_own(tmp_path: Path) -> None:
    image = '<ph>&lt;img alt="<sub>a <hi>red</hi> cat</sub>"/&gt;</ph>'
    path = memory_of(tmp_path / "x.tmx", f"A<sub>note</sub> text{image}.", "Ein Text.")
    assert list(read_tmx(path, LANGUAGES)) == [("A text.", "Ein Text.")]
    translated = image.replace("a <hi>red</hi> cat", "eine Katze")
    path = memory_of(path, f"A<sub>note</sub> text{image}.", f"Ein<sub>Note</sub> Text{translated}")
    assert list(read_tmx(path, LANGUAGES)) == [
        ("A text.", "Ein Text"),
        ("note", "Note"),
        ("a red cat", "eine Katze"),
    ]


@pytest.mark.parametrize("encoding", ["nosuch", "rot13", "zlib", "hex", "undefined", "idna"])
def test_an_encoding_that_is_none_of_text(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "x.tmx"
    path.write_text(TMX.replace("UTF-8", encoding))
    with pytest.raises(DataError, match=r"x\.tmx.*"):
        list(read_tmx(path, LANGUAGES))


def test_elements_nested_without_measure(tmp_path: Path) -> None:
    path = memory_of(tmp_path / "x.tmx", "<hi>" * 5000 + "x" + "</hi>" * 5000, "x")
    with pytest.raises(DataError, match=r"x\.tmx: not TMX \(elements are nested too deeply"):
        list(read_tmx(path, LANGUAGES))


def test_entities_that_multiply(tmp_path: Path) -> None:
    path = memory_of(tmp_path / "x.tmx", "&z;", "x")
    levels = zip("bcdefghyz", "abcdefghy", strict=True)
    entities = '<!ENTITY a "text">' + "".join(
        f'<!ENTITY {name} "{f"&{below};" * 10}">' for name, below in levels
    )
    path.write_text(f"<!DOCTYPE tmx [{entities}]>{path.read_text()}")
    with pytest.raises(DataError, match=r"x\.tmx"):
        list(read_tmx(path, LANGUAGES))


@pytest.mark.parametrize(
    "text",
    [
        "en,de\nbus,der Bus\n",
        "de;note;en-GB\nder Bus;;bus\n",
        "\ufeffTarget\tSource\nder Bus\tbus\n",
        '"bus","der\nBus"\n',
        "bus;der Bus\n\n",
    ],
)
def test_a_table_with_or_without_a_header(tmp_path: Path, text: str) -> None:
    path = tmp_path / "terms.csv"
    path.write_text(text, "utf-8")
    assert list(read_table(path, "csv", LANGUAGES)) == [("bus", "der Bus")]


def test_commas_do_not_hide_semicolons(tmp_path: Path) -> None:
    path = tmp_path / "terms.csv"
    path.write_text("Hello, you, there;Hallo\nYes;Ja, ja\n")
    assert list(read_table(path, "csv", LANGUAGES))[1] == ("Yes", "Ja, ja")


def test_columns_that_are_asked_for_win_over_the_header(tmp_path: Path) -> None:
    path = tmp_path / "terms.tsv"
    path.write_text("en\tde\tsource\nbus\tBus\tcoach\n")
    assert list(read_table(path, "tsv", LANGUAGES, (3, 2))) == [("coach", "Bus")]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("only one\n", r"line 1: 1 columns, 2 are needed"),
        ('one,"two\n', "not CSV .*quotation mark"),
        ('one,"two"x\n', "not CSV .*quotation mark"),
        ("x" * 200_000 + ",y\n", "not CSV"),
    ],
)
def test_bad_csv(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "terms.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"terms\.csv, .*{error}"):
        list(read_table(path, "csv", LANGUAGES))


def test_lines_are_counted_where_cells_have_several(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('"one\nmore",eins\ntwo,zwei\nthree\n')
    rows = read_table(tmp_path / "x.csv", "csv", LANGUAGES)
    assert [next(rows), next(rows)] == [("one more", "eins"), ("two", "zwei")]
    with pytest.raises(DataError, match=r"x\.csv, line 4: 1 columns, 2 are needed"):
        next(rows)


def test_the_lines_that_tell_the_separator_may_end_within_a_cell(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text((SAMPLED - 1) * "one;eins\n" + '"two\nlines";zwei\n')
    rows = list(read_table(tmp_path / "x.csv", "csv", LANGUAGES))
    assert len(rows) == SAMPLED and rows[-1] == ("two lines", "zwei")
