"""Members of archives, complete and damaged."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from data_prep.core.archives import is_archive, unpack
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
