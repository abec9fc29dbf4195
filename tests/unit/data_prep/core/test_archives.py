"""Members of archives, and documents of several kinds, whole and damaged."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from data_prep.core.archives import is_archive, read_sgm, read_tmx, read_tsv, unpack
from data_prep.core.program import DataError

MEMBERS = {"corpus/x.en": b"one\n" * 5000, "corpus/x.de": b"eins\n" * 5000, "notes.txt": b"no"}


def write_tar(path: Path, mode: str = "w:gz", prefix: str = "") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in MEMBERS.items():
            info = tarfile.TarInfo(prefix + name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def wanted(folder: Path) -> dict[str, Path]:
    return {"corpus/x.en": folder / "en", "corpus/x.de": folder / "de"}


@pytest.mark.parametrize(
    ("name", "mode"),
    [("a.tgz", "w:gz"), ("a.tar", "w"), ("a.tar.bz2", "w:bz2"), ("a.tar.xz", "w:xz")],
)
@pytest.mark.parametrize("prefix", ["", "./"])
def test_members_of_a_tar_file(tmp_path: Path, name: str, mode: str, prefix: str) -> None:
    archive = write_tar(tmp_path / name, mode, prefix)
    assert is_archive(archive)
    unpack(archive, wanted(tmp_path))
    assert (tmp_path / "en").read_bytes() == MEMBERS["corpus/x.en"]
    assert (tmp_path / "de").read_bytes() == MEMBERS["corpus/x.de"]


def test_members_of_a_zip_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, content in MEMBERS.items():
            archive.writestr(name, content)
    unpack(tmp_path / "a.zip", wanted(tmp_path))
    assert (tmp_path / "de").read_bytes() == MEMBERS["corpus/x.de"]


def test_a_missing_member_is_named_with_what_there_is(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tgz")
    with pytest.raises(DataError, match=r"a\.tgz: has no file 'x\.fr', but corpus/x\.en, "):
        unpack(archive, {"x.fr": tmp_path / "fr"})


def test_a_truncated_archive_is_named(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tgz")
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"a\.tgz: damaged or cut short"):
        unpack(archive, {"notes.txt": tmp_path / "notes"})


def test_an_error_page_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "a.tgz").write_text("<html>Log in</html>")
    with pytest.raises(DataError, match=r"a\.tgz: damaged"):
        unpack(tmp_path / "a.tgz", wanted(tmp_path))


def test_names_in_an_archive_decide_nothing(tmp_path: Path) -> None:
    """Paths that lead out of the folder, and links, are not followed."""
    inside = tmp_path / "inside"
    inside.mkdir()
    with tarfile.open(inside / "a.tar", "w") as tar:
        for name in ("../evil", "/tmp/evil-absolute"):
            info = tarfile.TarInfo(name)
            info.size = 4
            tar.addfile(info, io.BytesIO(b"evil"))
        link = tarfile.TarInfo("corpus/x.en")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(DataError, match=r"has no file 'corpus/x\.en'"):
        unpack(inside / "a.tar", {"corpus/x.en": inside / "en"})
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.tar", "inside"]


def test_segments_of_sgml(tmp_path: Path) -> None:
    path = tmp_path / "test.sgm"
    path.write_text(
        '<srcset setid="x">\n<doc>\n<p>\n<seg id="1">He said &quot;AT&amp;T &lt; 3&quot;.</seg>\n'
        '<SEG id="2"> Zwei </SEG>\n</p>\n</doc>\n'
    )
    assert list(read_sgm(path)) == ['He said "AT&T < 3".', "Zwei"]


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
    assert list(read_tsv(path, (2, 3))) == [("one", "eins"), ("two", "zwei")]
    with pytest.raises(DataError, match=r"x\.tsv, line 1: 3 columns, 4 are needed"):
        list(read_tsv(path, (2, 4)))


def test_columns_that_are_not_utf8_are_left_to_the_cleaning(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes(b"for\tf\xfcr\n")
    assert list(read_tsv(path, (1, 2))) == [("for", "f\ufffdr")]


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
    with pytest.raises(DataError, match=r"x\.tmx: .*write it anew in UTF-8"):
        list(read_tmx(path, ("en", "de")))


def test_a_translation_memory_that_is_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "x.tmx"
    path.write_text(TMX[:300])
    with pytest.raises(DataError, match=r"x\.tmx, line \d+: not TMX"):
        list(read_tmx(path, ("en", "de")))
