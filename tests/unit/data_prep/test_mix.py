"""Mixes of sources: the YAML file, the output, and errors."""

import gzip
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_prep import mix
from data_prep.core.program import DataError
from data_prep.text import recipe
from data_prep.text.mix_config import Source, read_mix
from data_prep.text.sources import Place
from tests.unit.data_prep.text.test_documents import TMX

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = sorted((ROOT / "configs" / "data").glob("*.yaml"))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the last stage, which starts fairseq."""

    def stand_in(folder: Path, *_: object) -> None:
        folder.mkdir(parents=True)

    monkeypatch.setattr(recipe, "run_fairseq_preprocess", stand_in)


def write_lines(folder: Path, name: str, count: int = 40) -> None:
    """Write NAME.en.gz and NAME.de."""
    english = "".join(f"{name} sentence number {n} is here .\n" for n in range(count))
    german = "".join(f"{name} Satz Nummer {n} ist hier .\n" for n in range(count))
    (folder / f"{name}.en.gz").write_bytes(gzip.compress(english.encode()))
    (folder / f"{name}.de").write_text(german)


@pytest.fixture
def described(tmp_path: Path) -> dict[str, Any]:
    """Return a mix of three pairs of files."""
    for name in ("one", "dev", "test"):
        write_lines(tmp_path, name)
    sources = {name: {"path": f"{name}.{{language}}"} for name in ("one", "dev", "test")}
    return {
        "languages": ["en", "de"],
        "sources": sources,
        "train": ["one"],
        "valid": ["dev"],
        "test": ["test"],
        "vocabulary": {"vocab_size": 90},
    }


def write(folder: Path, described: dict[str, Any]) -> Path:
    path = folder / "mix.yaml"
    path.write_text(yaml.safe_dump(described, sort_keys=False))
    return path


def prepare(folder: Path, described: dict[str, Any], *extra: str) -> Path:
    out = folder / "out"
    command = [str(write(folder, described)), "--out", str(out), *extra]
    mix.main(mix.parse_arguments(command))
    return out


def lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


def test_all_parts_are_made(tmp_path: Path, described: dict[str, Any]) -> None:
    out = prepare(tmp_path, described)
    assert len(lines(out / "text" / "train.en")) == 40
    assert lines(out / "raw" / "test.de") == lines(tmp_path / "test.de")
    assert (out / "data-bin" / "train.en-de.en.bin").exists()


@pytest.mark.usefixtures("quick")
def test_sources_of_all_kinds_are_mixed(tmp_path: Path, described: dict[str, Any]) -> None:
    (tmp_path / "memory.tmx").write_text(TMX)
    (tmp_path / "table.tsv").write_text("drei\tthree\nvier\tfour\n")
    described["sources"] |= {
        "memory": {"path": "memory.tmx"},
        "table": {"path": "table.tsv", "columns": [2, 1]},
    }
    described["train"] = ["one", "memory", "table"]
    out = prepare(tmp_path, described)
    assert lines(out / "text" / "train.en")[40:] == [
        "Press Enter now & here",
        "two",
        "three",
        "four",
    ]
    assert lines(out / "text" / "train.de")[41:] == ["zwei", "drei", "vier"]


@pytest.mark.usefixtures("quick")
def test_another_kind_is_another_source(tmp_path: Path, described: dict[str, Any]) -> None:
    described["sources"]["one"] = {"path": "marked.{language}"}
    for language in ("en", "de"):
        marked = "".join(f"<seg>{language} {number} .</seg>\n" for number in range(40))
        (tmp_path / f"marked.{language}").write_text(marked)
    assert "<seg>" in (prepare(tmp_path, described) / "text" / "train.en").read_text()
    described["sources"]["one"]["format"] = "sgm"
    assert "<seg>" not in (prepare(tmp_path, described) / "text" / "train.en").read_text()


@pytest.mark.usefixtures("quick")
def test_other_columns_are_another_source(tmp_path: Path, described: dict[str, Any]) -> None:
    table = "".join(f"one {number}\teins {number}\n" for number in range(40))
    (tmp_path / "table.tsv").write_text(table)
    for columns, first in (([1, 2], "one 0"), ([2, 1], "eins 0")):
        described["sources"]["one"] = {"path": "table.tsv", "columns": columns}
        assert lines(prepare(tmp_path, described) / "text" / "train.en")[0] == first


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", ["w_{language}", "v1.0/{language}"])
def test_files_may_be_packed_whatever_they_are_called(
    tmp_path: Path, described: dict[str, Any], name: str
) -> None:
    for language in ("en", "de"):
        path = tmp_path / f"{name.replace('{language}', language)}.gz"
        path.parent.mkdir(exist_ok=True)
        text = "".join(f"the {language} sentence {number} .\n" for number in range(40))
        path.write_bytes(gzip.compress(text.encode()))
    described["sources"]["one"] = {"path": name}
    assert len(lines(prepare(tmp_path, described) / "text" / "train.en")) == 40


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("weight", "expected"), [(2, 80), (0.25, 10), (1.5, 60)])
def test_weights(tmp_path: Path, described: dict[str, Any], weight: float, expected: int) -> None:
    described["sources"]["one"]["weight"] = weight
    out = prepare(tmp_path, described)
    assert len(lines(out / "text" / "train.en")) == expected
    assert len(lines(out / "text" / "test.en")) == 40  # tests never change


def test_shards_share_the_training_text(tmp_path: Path, described: dict[str, Any]) -> None:
    out = prepare(tmp_path, described | {"shards": 3})
    shards = [out / "data-bin" / f"shard{n}" for n in range(3)]
    assert all((shard / "train.en-de.de.bin").exists() for shard in shards)
    assert [(shard / "valid.en-de.de.bin").exists() for shard in shards] == [True, False, False]
    assert len({(shard / "dict.en.txt").read_text() for shard in shards}) == 1
    assert not (out / "shares").exists()


@pytest.mark.usefixtures("quick")
def test_bytes_that_are_not_utf8_are_dropped_from_training(
    tmp_path: Path, described: dict[str, Any]
) -> None:
    german = (tmp_path / "one.de").read_bytes().replace(b"Nummer 7 ist", b"Nummer 7 f\xfcr")
    (tmp_path / "one.de").write_bytes(german)
    out = prepare(tmp_path, described)
    assert len(lines(out / "text" / "train.de")) == 39
    assert "1 broken encoding" in (out / "report.txt").read_text()


@pytest.mark.usefixtures("quick")
def test_a_second_run_makes_nothing_and_a_changed_source_only_what_depends_on_it(
    tmp_path: Path, described: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    prepare(tmp_path, described)
    caplog.clear()
    prepare(tmp_path, described)
    assert sum("up to date" in message for message in caplog.messages) == 7
    with (tmp_path / "one.de").open("a") as german:
        german.write("neu\n")
    write_english = gzip.decompress((tmp_path / "one.en.gz").read_bytes()) + b"new\n"
    (tmp_path / "one.en.gz").write_bytes(gzip.compress(write_english))
    caplog.clear()
    prepare(tmp_path, described)
    assert [m.split(":")[0] for m in caplog.messages if "up to date" in m] == [
        "source dev",
        "source test",
    ]


@pytest.mark.usefixtures("quick")
def test_two_workers_make_the_same(tmp_path: Path, described: dict[str, Any]) -> None:
    one = prepare(tmp_path, described)
    text = (one / "text" / "train.de").read_bytes()
    described["cleaning"] = {"max_words": 249}  # so that it is done again
    two = prepare(tmp_path, described, "--workers", "2")
    assert (two / "text" / "train.de").read_bytes() == text


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ({"path": "nowhere.{language}"}, r"nowhere\.en: no such file, nor nowhere\.en\.gz"),
        ({"path": "one.de"}, "one file for two languages"),
        ({"path": "one.zip"}, "one.zip is an archive; give its member"),
    ],
)
def test_files_that_do_not_fit_are_named(
    tmp_path: Path, described: dict[str, Any], source: dict[str, Any], error: str
) -> None:
    (tmp_path / "one.zip").write_bytes(b"")
    described["sources"]["one"] = source
    with pytest.raises(DataError, match=error):
        prepare(tmp_path, described)


def test_a_dry_run_shows_the_plan_and_does_nothing(
    tmp_path: Path, described: dict[str, Any], capsys: pytest.CaptureFixture
) -> None:
    described["sources"]["one"] = {"url": "http://nowhere.invalid/a.tgz", "member": "x.{language}"}
    out = prepare(tmp_path, described, "--dry-run")
    shown = capsys.readouterr().out
    assert "train  one: http://nowhere.invalid/a.tgz (to be downloaded)" in shown
    assert "vocab_size 90" in shown
    assert not out.exists()


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_shipped_mixes_can_be_read(path: Path) -> None:
    described = read_mix(path)
    assert list(mix.plan(described, Place(path.parent, Path("out"), mix.Downloads(Path("d")))))
    assert isinstance(described.sources[described.train[0]], Source)


def test_there_are_mixes() -> None:
    """Otherwise the test above would pass by finding nothing."""
    assert len(SHIPPED) >= 2


@pytest.mark.usefixtures("quick")
def test_a_table_with_a_header_is_a_source(tmp_path: Path, described: dict[str, Any]) -> None:
    (tmp_path / "terms.csv").write_text("de,en\nder Bus,the bus\n")
    described["sources"]["terms"] = {"path": "terms.csv"}
    described["test"] = ["terms"]
    out = prepare(tmp_path, described)
    assert lines(out / "raw" / "test.de") == ["der Bus"]


@pytest.mark.usefixtures("quick")
def test_text_for_each_language_may_be_called_csv(
    tmp_path: Path, described: dict[str, Any]
) -> None:
    for language in ("en", "de"):
        (tmp_path / f"x.{language}.csv").write_text(f"one, {language}\n")
    described["sources"]["x"] = {"path": "x.{language}.csv"}
    described["test"] = ["x"]
    assert lines(prepare(tmp_path, described) / "raw" / "test.de") == ["one, de"]


def test_a_document_for_each_language_is_refused(tmp_path: Path, described: dict[str, Any]) -> None:
    described["sources"]["one"]["format"] = "tsv"
    with pytest.raises(DataError, match="one tsv file contains both languages"):
        prepare(tmp_path, described)


def test_nothing_is_written_elsewhere(tmp_path: Path, described: dict[str, Any]) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "evil.en").write_text("evil\n")
    url = "http://nowhere.invalid/..%2f..%2f..%2fevil.{language}"
    described["sources"]["one"] = {"url": url}
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    with pytest.raises(DataError, match=r"evil\.en: '\.\./.*cannot be the name of a file"):
        prepare(inside, described, "--mirror", str(tmp_path / "mirror"))
    assert [path.name for path in tmp_path.rglob("evil*")] == ["evil.en"]
