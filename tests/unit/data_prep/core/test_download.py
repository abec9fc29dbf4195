"""Downloads from a server of our own that disconnects, rejects requests, or changes its files."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_prep.core import download
from data_prep.core.download import Downloads, unfinished
from data_prep.core.program import DataError
from tests.programs import LONGEST
from tests.web_server import Server, serve

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(download, "WAIT", 0.01)
    monkeypatch.setattr(download, "CHUNK", 100)
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "a.tgz").write_bytes(CONTENT)
    with serve(folder) as state:
        yield state


@pytest.fixture
def downloads(tmp_path: Path) -> Downloads:
    return Downloads(tmp_path / "downloads")


def test_a_file_is_fetched_once_and_recorded(server: Server, downloads: Downloads) -> None:
    path = downloads.get(f"{server.address}a.tgz")
    assert path.read_bytes() == CONTENT
    assert list(json.loads(downloads.record.read_text())) == ["a.tgz"]
    downloads.get(f"{server.address}a.tgz")
    assert len(server.ranges) == 1


def test_a_broken_download_goes_on_where_it_stopped(server: Server, downloads: Downloads) -> None:
    server.break_after = [1000, 500]
    assert downloads.get(f"{server.address}a.tgz").read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-", "bytes=1500-"]


def test_a_later_run_goes_on_where_an_earlier_one_stopped(
    server: Server, downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    server.break_after = [1000]
    with pytest.raises(DataError, match=r"a\.tgz: cannot be fetched .*1,000 of 10,240 bytes"):
        downloads.get(f"{server.address}a.tgz")
    assert not downloads.path("a.tgz").exists()
    assert downloads.get(f"{server.address}a.tgz").read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-"]
    assert sorted(path.name for path in downloads.folder.iterdir()) == ["a.tgz", "checksums.json"]


def test_a_part_of_another_file_is_not_used(server: Server, downloads: Downloads) -> None:
    downloads.folder.mkdir()
    url = f"{server.address}a.tgz"
    unfinished(url, downloads.folder).write_bytes(CONTENT * 2)
    unfinished(f"{server.address}older/a.tgz", downloads.folder).write_bytes(CONTENT[::-1][:99])
    assert downloads.get(url).read_bytes() == CONTENT


def test_a_download_of_unknown_length_that_breaks_is_not_taken_for_whole(
    server: Server, downloads: Downloads
) -> None:
    server.chunked, server.break_after = True, [1000]
    assert downloads.get(f"{server.address}a.tgz").read_bytes() == CONTENT
    assert len(server.ranges) == 2


def test_two_addresses_cannot_have_one_name(server: Server, downloads: Downloads) -> None:
    downloads.get(f"{server.address}a.tgz")
    (server.folder / "other").mkdir()
    (server.folder / "other" / "a.tgz").write_bytes(b"other")
    for other in ("other/a.tgz", "a.tgz?version=2"):
        for asked in (downloads, Downloads(downloads.folder)):  # in one run, and in a later one
            with pytest.raises(DataError, match="only one file can have this name"):
                asked.get(f"{server.address}{other}")
            assert asked.get(f"{server.address}a.tgz").read_bytes() == CONTENT
    assert downloads.path("a.tgz").read_bytes() == CONTENT


def test_a_server_in_trouble_is_asked_again(server: Server, downloads: Downloads) -> None:
    server.statuses = [503, 500]
    assert downloads.get(f"{server.address}a.tgz").read_bytes() == CONTENT


def test_a_missing_file_is_not_asked_for_again(server: Server, downloads: Downloads) -> None:
    with pytest.raises(DataError, match=r"b\.tgz: cannot be fetched \(404 Not Found\).*--mirror"):
        downloads.get(f"{server.address}b.tgz")
    assert len(server.ranges) == 1


def test_a_stalled_server_is_given_up(
    server: Server, downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT", (LONGEST, 0.05))
    server.answering.clear()
    with pytest.raises(DataError, match="cannot be fetched"):
        downloads.get(f"{server.address}a.tgz")
    assert not downloads.path("a.tgz").exists()


def test_another_file_than_the_first_is_refused(server: Server, downloads: Downloads) -> None:
    downloads.get(f"{server.address}a.tgz").unlink()
    (server.folder / "a.tgz").write_bytes(b"other")
    with pytest.raises(DataError, match=r"not the file that was first fetched.*checksums\.json"):
        downloads.get(f"{server.address}a.tgz")


def test_records_of_earlier_versions_are_understood(server: Server, downloads: Downloads) -> None:
    url = f"{server.address}a.tgz"
    checksum = json.loads(downloads.get(url).with_name("checksums.json").read_text())["a.tgz"]
    downloads.record.write_text(json.dumps({"a.tgz": checksum["checksum"]}))
    assert Downloads(downloads.folder).get(url).read_bytes() == CONTENT
    with pytest.raises(DataError, match="only one file can have this name"):
        Downloads(downloads.folder).get(f"{server.address}other/a.tgz")
    (server.folder / "a.tgz").write_bytes(b"other")
    downloads.path("a.tgz").unlink()
    with pytest.raises(DataError, match="not the file that was first fetched"):
        Downloads(downloads.folder).get(url)


def test_what_a_check_refuses_is_not_kept(server: Server, downloads: Downloads) -> None:
    def refuse(_: Path) -> None:
        raise DataError("an error page")

    with pytest.raises(DataError, match="an error page"):
        downloads.get(f"{server.address}a.tgz", check=refuse)
    assert not downloads.path("a.tgz").exists() and not downloads.record.exists()


def test_a_folder_can_be_the_mirror(server: Server, tmp_path: Path) -> None:
    downloads = Downloads(tmp_path / "downloads", str(server.folder))
    assert downloads.get("https://nowhere.invalid/x/a.tgz").read_bytes() == CONTENT
    with pytest.raises(DataError, match=r"b\.tgz: no such file; the mirror needs it"):
        downloads.get("https://nowhere.invalid/x/b.tgz")


def test_an_address_can_be_the_mirror(server: Server, tmp_path: Path) -> None:
    downloads = Downloads(tmp_path / "downloads", server.address)
    assert downloads.get("https://nowhere.invalid/x/a.tgz").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "end",
    ["", "a/", "..%2fx", "%2e%2e", ".hidden", "a%5cb", "a%00b", "%0a", "checksums.json"],
)
def test_addresses_without_a_name_for_a_file(tmp_path: Path, end: str) -> None:
    downloads = Downloads(tmp_path / "downloads")
    with pytest.raises(DataError, match=r"^http://h/.*(cannot be the name|name of the record)"):
        downloads.get(f"http://h/{end}")
    assert not list(tmp_path.rglob("*x"))


@pytest.mark.parametrize("url", ["http://[::1/a", "nowhere/a", "gopher://h/a", "http://a b/c"])
def test_addresses_that_are_none(tmp_path: Path, url: str) -> None:
    with pytest.raises(DataError, match=r"not an address|cannot be fetched"):
        Downloads(tmp_path / "downloads").get(url)


@pytest.mark.parametrize("length", ["abc", "-5", "1_0", "9" * 30])
def test_a_length_that_is_no_number(
    server: Server, downloads: Downloads, monkeypatch: pytest.MonkeyPatch, length: str
) -> None:
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    server.length = length
    with pytest.raises(DataError, match=r"a\.tgz: cannot be fetched \(the server says it sends"):
        downloads.get(f"{server.address}a.tgz")


@pytest.mark.parametrize("content", ["[1]", "{", "[" * 3000, "\x00"])
def test_a_record_that_is_damaged(tmp_path: Path, content: str) -> None:
    downloads = Downloads(tmp_path)
    downloads.record.write_text(content)
    with pytest.raises(DataError, match=r"checksums\.json: does not say what was fetched"):
        downloads.get("http://127.0.0.1:9/a.tgz")


def test_an_address_that_is_none_for_a_file_with_a_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not an address"):
        Downloads(tmp_path / "downloads").get("http://[::1/a", "tok/train.en")
