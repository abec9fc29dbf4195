"""Reading text files: what is rejected, and what the message names."""

import gzip
from pathlib import Path

import pytest

from data_prep.core.files import count_lines, digest, find_text, inside, name_fault, read_lines
from data_prep.core.program import DataError


def test_plain_and_packed_files_read_the_same(tmp_path: Path) -> None:
    content = "ein Haus\nzwei Häuser\n".encode()
    (tmp_path / "a.de").write_bytes(content)
    (tmp_path / "b.de.gz").write_bytes(gzip.compress(content))
    plain, packed = (list(read_lines(find_text(str(tmp_path / x), "de"))) for x in "ab")
    assert plain == packed == ["ein Haus", "zwei Häuser"]


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"corpus\.de: no such file, nor corpus\.de\.gz"):
        find_text(str(tmp_path / "corpus"), "de")


def test_broken_utf8_is_located(tmp_path: Path) -> None:
    path = tmp_path / "latin1.de"
    path.write_bytes("gut\nschön\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin1\.de, line 2: not UTF-8 at byte 4"):
        list(read_lines(path))


PACKED = gzip.compress(b"line\n" * 1000)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(PACKED[:-12], id="cut short"),
        pytest.param(b"line\n", id="not packed at all"),
        pytest.param(PACKED[:10] + b"\xff" * 20, id="damaged inside"),
        pytest.param(PACKED[:-8] + bytes(8), id="wrong checksum"),
    ],
)
def test_bad_gzip_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.de.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.de\.gz: damaged gzip file"):
        count_lines(path)


def test_byte_order_mark_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "bom.en"
    path.write_bytes(b"\xef\xbb\xbfhello\n")
    assert list(read_lines(path)) == ["hello"]


@pytest.mark.parametrize(("content", "lines"), [(b"", 0), (b"a", 1), (b"a\n", 1), (b"a\n\n", 2)])
def test_lines_are_counted_with_or_without_a_last_line_end(
    tmp_path: Path, content: bytes, lines: int
) -> None:
    path = tmp_path / "text"
    path.write_bytes(content)
    assert count_lines(path) == lines


def test_unicode_line_separators_do_not_end_a_line(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("one\u2028still one\x85and\x0cstill\n", "utf-8")
    assert len(list(read_lines(path))) == 1


def test_digest_is_sha256(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert digest(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/../..", "a/../../x", "/etc", "a\0b", "a/.."]
)
@pytest.mark.parametrize("folder", [Path("."), Path("out"), Path("/out")])
def test_names_that_lead_out_of_a_folder(folder: Path, name: str) -> None:
    with pytest.raises(DataError, match="does not lie in"):
        inside(folder, name, "manifest")


def test_links_of_the_user_are_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "data-bin").symlink_to(tmp_path / "elsewhere")
    assert inside(tmp_path / "out", "data-bin/dict.txt", "") == tmp_path / "out/data-bin/dict.txt"


@pytest.mark.parametrize("name", ["", ".", "..", ".x", "a/b", "a\\b", "a\0", "a\nb", "\u2028"])
def test_names_that_are_none_of_a_file(name: str) -> None:
    assert name_fault(name)


@pytest.mark.parametrize("name", ["a", "a.b", "zh-Hans", "\u00fcber", "a b"])
def test_names_of_files(name: str) -> None:
    assert name_fault(name) is None
