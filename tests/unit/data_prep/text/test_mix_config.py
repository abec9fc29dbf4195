"""The YAML file of a mix: its contents, and what is rejected before anything is created."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from data_prep.core.program import DataError
from data_prep.text.mix_config import read_mix

BOMB = "".join(
    f"{name}: &{name} [{', '.join([f'*{last}'] * 10)}]\n"
    for last, name in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.fixture
def described() -> dict[str, Any]:
    """Return a mix of three pairs of files."""
    return {
        "languages": ["en", "de"],
        "sources": {name: {"path": f"{name}.{{language}}"} for name in ("one", "dev", "test")},
        "train": ["one"],
        "valid": ["dev"],
        "test": ["test"],
    }


def write(folder: Path, described: dict[str, Any]) -> Path:
    path = folder / "mix.yaml"
    path.write_text(yaml.safe_dump(described, sort_keys=False))
    return path


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"train": ["two"]}, "there is no source 'two'; there are one, dev, test"),
        ({"train": []}, "train names no source"),
        ({"languages": ["de", "de"]}, "there must be two languages, not de, de"),
        ({"languages": ["de"]}, "there must be two languages, not de"),
        ({"shard": 2}, "Key 'shard' not in 'Mix'"),
        ({"shards": "many"}, "many.*could not be converted to Integer"),
        ({"cleaning": {"max_word": 3}}, "max_word"),
        ({"shards": 0}, "shards: 0 is not from 1 to 500"),
        ({"shards": 1_000_000}, "shards: 1000000 is not from 1 to 500"),
        ({"vocabulary": {"vocab_size": 10**11}}, "vocabulary: vocab_size: 100000000000 is not"),
        ({"cleaning": {"max_ratio": float("nan")}}, "cleaning: max_ratio: nan is not at least 1"),
        ({"languages": ["en", "../../de"]}, "language '../../de' cannot be the name of a file"),
        (
            {
                "sources": {"a\0b": {"path": "x"}},
                "train": ["a\0b"],
                "valid": ["a\0b"],
                "test": ["a\0b"],
            },
            r"source 'a\\x00b' cannot be the name of a file",
        ),
        (
            {
                "sources": {"../x": {"path": "y"}},
                "train": ["../x"],
                "valid": ["../x"],
                "test": ["../x"],
            },
            "cannot be the name of a file or folder",
        ),
    ],
)
def test_mistakes_are_named(
    tmp_path: Path, described: dict[str, Any], change: dict[str, Any], error: str
) -> None:
    with pytest.raises(DataError, match=rf"mix\.yaml: .*{error}"):
        read_mix(write(tmp_path, described | change))


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ({}, "needs a url or a path"),
        ({"url": "http://x/y.tgz", "path": "y"}, "needs a url or a path"),
        ({"path": "one.{language}", "weight": 0}, "weight: 0.0 is not from"),
        ({"path": "a\0b"}, r"path has a control character: 'a\\x00b'"),
        ({"path": "one.{language}", "weight": float("nan")}, "weight: nan is not from"),
        ({"path": "one.{language}", "weight": float("inf")}, "weight: inf is not from"),
        ({"path": "one.{language}", "weight": 1e18}, r"weight: 1e\+18 is not from"),
        ({"path": "one.{language}", "columns": [0, 1]}, "columns must be two numbers from 1"),
        ({"path": "one.{language}", "columns": [1, 10**12]}, "columns must be two numbers from 1"),
        ({"path": "one.{language}", "columns": [1, 2, 3]}, "columns"),
        (
            {"path": "one.{language}", "format": "doc"},
            "format must be one of lines, sgm, tsv, csv, tmx",
        ),
    ],
)
def test_mistakes_in_a_source_are_named(
    tmp_path: Path, described: dict[str, Any], source: dict[str, Any], error: str
) -> None:
    described["sources"]["one"] = source
    with pytest.raises(DataError, match=rf"source 'one'.*{error}"):
        read_mix(write(tmp_path, described))


def test_yaml_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "mix.yaml").write_text("languages: [en, de")
    with pytest.raises(DataError, match=r"mix\.yaml: .*expected"):
        read_mix(tmp_path / "mix.yaml")


@pytest.mark.parametrize("content", ["- one\n", "1", "one"])
def test_what_is_no_mapping_is_no_mix(tmp_path: Path, content: str) -> None:
    (tmp_path / "mix.yaml").write_text(content)
    with pytest.raises(DataError, match=r"mix\.yaml: does not begin with `name: value`"):
        read_mix(tmp_path / "mix.yaml")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", "not UTF-8 at byte 1"),
        (b"languages: [en, \0]", "special characters are not allowed"),
        (b"x: &a [*a]", "an alias that contains itself"),
        (b"a: &a [1, 2]\n" + BOMB.encode(), "aliases"),
        (b"x: " + b"[" * 3000, "nested too deeply|expected"),
        (b"x: ${x}", "."),
        (b"#" * (1 << 21), "larger than"),
        (b"", "."),
    ],
)
def test_files_that_are_no_description(tmp_path: Path, content: bytes, error: str) -> None:
    path = tmp_path / "mix.yaml"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"mix\.yaml: .*({error})"):
        read_mix(path)


def test_an_alias_may_repeat_what_is_written(tmp_path: Path, described: dict[str, Any]) -> None:
    text = write(tmp_path, described).read_text()
    (tmp_path / "mix.yaml").write_text(
        text.replace("valid:\n- dev", "valid: &d\n- dev").replace("test:\n- test", "test: *d")
    )
    assert read_mix(tmp_path / "mix.yaml").test == ["dev"]
