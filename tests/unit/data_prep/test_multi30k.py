"""Finding, downloading and verifying Multi30k, with a few lines and a server of our own."""

import gzip
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_prep import multi30k
from data_prep.core import download
from data_prep.core.program import DataError
from data_prep.parallel import ParallelData
from data_prep.text import recipe
from tests.web_server import serve

FEW = {"train": 5, "val": 2, "test_2016_flickr": 1}


@pytest.fixture(autouse=True)
def few_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multi30k, "LINES", FEW)


def write_files(folder: Path, name: str) -> Path:
    """Write all files of a variant, with a name like `tok/{part}.{language}.gz`."""
    for part, lines in FEW.items():
        for language in multi30k.LANGUAGES:
            path = folder / name.format(part=part, language=language)
            path.parent.mkdir(parents=True, exist_ok=True)
            content = "".join(f"{part} {language} {n}\n" for n in range(lines)).encode()
            path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return folder


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Yield a web server of the original files: its folder and its address."""
    folder = tmp_path / "server"
    for name in multi30k.ORIGINAL_NAME.values():
        write_files(folder, name)

    with serve(folder) as state:
        yield folder, state.address


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        ("tok", "data/task1/tok/{part}.lc.norm.tok.{language}"),
        ("raw", "data/task1/raw/{part}.{language}.gz"),
        ("tok", "tok/{part}.lc.norm.tok.{language}.gz"),
        ("tok", "tok/{part}.{language}"),
        ("raw", "raw/{part}.{language}"),
        ("raw", "{part}.{language}.gz"),
    ],
)
def test_all_layouts_are_found(tmp_path: Path, variant: str, name: str) -> None:
    prefixes = multi30k.locate(write_files(tmp_path, name), variant)
    train, valid, test = ([prefix] for prefix in prefixes.values())
    multi30k.verify(ParallelData(train, valid, test, multi30k.LANGUAGES))
    suffix = Path(name).name.split(".{language}")[0].removeprefix("{part}")
    assert [Path(prefix).name for prefix in prefixes.values()] == [part + suffix for part in FEW]


@pytest.mark.parametrize("name", ["raw/{part}.{language}", "{part}.{language}"])
def test_other_variant_is_not_taken(tmp_path: Path, name: str) -> None:
    write_files(tmp_path, name)
    with pytest.raises(DataError, match=r"tok/train\.lc\.norm\.tok\.en: no such file"):
        multi30k.locate(tmp_path, "tok")


def test_wrong_number_of_lines_is_refused(tmp_path: Path) -> None:
    write_files(tmp_path, "tok/{part}.{language}")
    for language in multi30k.LANGUAGES:
        (tmp_path / "tok" / f"val.{language}").write_text("one line\n")
    train, valid, test = ([prefix] for prefix in multi30k.locate(tmp_path, "tok").values())
    with pytest.raises(DataError, match=r"val\.en: 1 lines, but Multi30k's val has 2"):
        multi30k.verify(ParallelData(train, valid, test, multi30k.LANGUAGES))


@pytest.mark.parametrize("variant", ["tok", "raw"])
def test_download_is_located_like_the_original(
    tmp_path: Path, server: tuple[Path, str], variant: str
) -> None:
    multi30k.fetch(tmp_path / "download", variant, server[1])
    assert len(multi30k.locate(tmp_path / "download", variant)) == 3
    checksums = json.loads((tmp_path / "download" / "checksums.json").read_text())
    assert len(checksums) == 6


def test_second_run_uses_the_download_and_all_that_was_made(
    tmp_path: Path,
    server: tuple[Path, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def stand_in(folder: Path, *_: object) -> None:
        folder.mkdir()

    monkeypatch.setattr(recipe, "run_fairseq_preprocess", stand_in)
    command = ["--out", str(tmp_path / "out"), "--vocab-size", "40", "--url"]
    multi30k.main(multi30k.parse_arguments([*command, server[1]]))
    with caplog.at_level(logging.INFO):
        multi30k.main(multi30k.parse_arguments([*command, "http://127.0.0.1:9/"]))
    assert sum("up to date" in record.getMessage() for record in caplog.records) == 4


def test_what_is_there_is_not_fetched_again(tmp_path: Path, server: tuple[Path, str]) -> None:
    multi30k.fetch(tmp_path, "tok", server[1])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    multi30k.fetch(tmp_path, "tok", "http://127.0.0.1:9/")  # nobody listens there
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_changed_original_is_refused(tmp_path: Path, server: tuple[Path, str]) -> None:
    multi30k.fetch(tmp_path, "tok", server[1])
    name = multi30k.ORIGINAL_NAME["tok"].format(part="val", language="de")
    (tmp_path / name).unlink()
    (server[0] / name).write_text("other\nlines\n")
    with pytest.raises(DataError, match=r"val\.lc\.norm\.tok\.de: not the file.*checksums\.json"):
        multi30k.fetch(tmp_path, "tok", server[1])


def test_damaged_download_is_replaced(tmp_path: Path, server: tuple[Path, str]) -> None:
    multi30k.fetch(tmp_path, "raw", server[1])
    name = multi30k.ORIGINAL_NAME["raw"].format(part="val", language="de")
    (tmp_path / name).write_bytes(b"")
    multi30k.fetch(tmp_path, "raw", server[1])
    assert (tmp_path / name).read_bytes() == (server[0] / name).read_bytes()


def test_error_page_is_neither_kept_nor_recorded(tmp_path: Path, server: tuple[Path, str]) -> None:
    name = multi30k.ORIGINAL_NAME["tok"].format(part="train", language="en")
    (server[0] / name).write_text("<html>Log in to this network</html>\n")
    with pytest.raises(DataError, match="1 lines instead of 5"):
        multi30k.fetch(tmp_path / "download", "tok", server[1])
    assert not (tmp_path / "download" / name).exists()
    assert not (tmp_path / "download" / "checksums.json").exists()


@pytest.mark.parametrize("path", ["", "nowhere/"])
def test_failed_download_names_address_and_remedy(
    tmp_path: Path, server: tuple[Path, str], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "WAIT", 0.01)
    address = f"{server[1]}{path}" if path else "http://127.0.0.1:9/"
    with pytest.raises(DataError, match=r"http://127.*cannot be fetched.*--source"):
        multi30k.fetch(tmp_path / "download", "tok", address)
