"""Unusual input, by mistake or malice: each program accepts it, or rejects it in one line."""

import argparse
import bz2
import gzip
import io
import itertools
import logging
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from data_prep import mix, multi30k, omniglot, one_look, parallel, toy_corpus
from data_prep.core.program import DataError, run_program
from data_prep.core.ranges import RANGE, Range
from data_prep.text import recipe, throughput
from data_prep.text.mix_config import Mix, Source, read_mix
from data_prep.text.quality import CleaningOptions
from data_prep.text.sentencepiece_model import SentencePieceOptions
from tests.unit.data_prep.text.test_documents import TMX
from tests.unit.data_prep.text.test_one_look import made_up

LANGUAGES = ["--source-lang", "en", "--target-lang", "de"]
# Each program, with the arguments that it cannot do without.
PROGRAMS: dict[str, tuple[Any, list[str]]] = {
    "mix": (mix, ["mix.yaml", "--out", "out"]),
    "multi30k": (multi30k, ["--out", "out"]),
    "omniglot": (omniglot, ["--out", "out"]),
    "one_look": (one_look, ["--text", "train", *LANGUAGES, "--out", "out"]),
    "parallel": (
        parallel,
        ["--train=train", "--valid=dev", "--test=test", *LANGUAGES, "--out", "out"],
    ),
    "throughput": (throughput, []),
    "toy_corpus": (toy_corpus, ["--out", "out"]),
}
NUMBERS = ["0", "-1", "nan", "inf", "-inf", "1e400", "1000000000000", "9" * 5000, "x", "", "0x1"]


def options(program: Any, required: list[str]) -> list[argparse.Action]:
    """Return all options of a program."""
    found: list[argparse.Action] = []

    class Seen(Exception):
        pass

    def look(self: argparse.ArgumentParser, *_: object) -> None:
        found.extend(self._actions)
        raise Seen

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Seen):
        patch.setattr(argparse.ArgumentParser, "parse_args", look)
        program.parse_arguments(required)
    return found


def numeric(name: str) -> Iterator[tuple[str, Range]]:
    """Yield the options of a program that are numbers."""
    for action in options(*PROGRAMS[name]):
        assert action.type not in (int, float), f"{action.option_strings} has no range"
        if isinstance(action.type, Range):
            yield action.option_strings[0], action.type


ALL_NUMERIC = [(name, option) for name in PROGRAMS for option, _ in numeric(name)]


def test_there_are_options() -> None:
    assert len(ALL_NUMERIC) >= 30


@pytest.mark.parametrize(("name", "option"), ALL_NUMERIC)
def test_numbers_of_command_lines(
    name: str, option: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, required = PROGRAMS[name]
    limits = dict(numeric(name))[option]
    for text in NUMBERS:
        try:
            given = program.parse_arguments([*required, f"{option}={text}"])
        except SystemExit as ended:
            assert ended.code == 2
            errors = capsys.readouterr().err
            last = errors.splitlines()[-1]
            assert f"argument {option}: " in last
            assert " is not " in last
            assert len(last) < 300
        else:
            assert vars(given)[option.strip("-").replace("-", "_")] in limits


# --- A whole program ------------------------------------------------------------------------------


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working folder with a small corpus; fairseq-preprocess is replaced by nothing."""
    monkeypatch.chdir(tmp_path)
    pairs = made_up()
    for part, lines in {
        "train": pairs[:150],
        "dev": pairs[150:155],
        "test": pairs[155:160],
    }.items():
        for language, side in zip(("en", "de"), zip(*lines, strict=True), strict=True):
            Path(f"{part}.{language}").write_text("\n".join(side) + "\n")

    def stand_in(folder: Path, *_: object) -> None:
        folder.mkdir(parents=True)

    monkeypatch.setattr(recipe, "run_fairseq_preprocess", stand_in)
    return tmp_path


def outcome(
    program: Any, arguments: list[str], caplog: pytest.LogCaptureFixture
) -> tuple[int, list[str]]:
    """Return the exit status of a program, and its errors. A traceback would fail the test."""
    caplog.clear()
    with caplog.at_level(logging.ERROR):
        status = run_program(program.main, program.parse_arguments(arguments))
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == (0 if status == 0 else 1)
    for error in errors:
        assert "\n" not in error.rstrip("\n")
    return status, errors


@pytest.mark.parametrize("name", ["parallel", "one_look"])
def test_extreme_numbers_that_are_permitted(
    name: str, corpus: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program, required = PROGRAMS[name]
    small = ["--vocab-size=60"] if name == "parallel" else []
    for (option, limits), text in itertools.product(
        numeric(name), ["0", "-1", "inf", "1" + "0" * 12]
    ):
        try:
            limits(text)
        except argparse.ArgumentTypeError:
            continue
        outcome(program, [*required, *small, f"{option}={text}"], caplog)


WHOLE = b"one two three\nfour five\n"
CONTENTS = {
    "empty": b"",
    "broken": b"\xff\xfe\x00\n\xc3\n" * 3,
    "nul": b"\0" * 100,
    "mark alone": b"\xef\xbb\xbf",
    "line ends": b"\n\n\r\n",
    "no last line end": b"one two",
    "carriage returns": b"one\rtwo\rthree\r",
    "utf-16": "one\ntwo\n".encode("utf-16"),
    "endless line": b"x" * 3_000_000,
    "separators": "\u2028\u2029\x85\x0b\x0c\x1c\n".encode() * 5,
    "surrogates": b"\xed\xa0\x80\n",
    "whole": WHOLE,
    "gzip": gzip.compress(WHOLE),
    "gzip cut": gzip.compress(WHOLE)[:-9],
    "gzip with more behind": gzip.compress(WHOLE) + b"garbage",
}


@pytest.mark.parametrize("part", ["train", "dev", "test"])
@pytest.mark.parametrize("name", ["parallel", "one_look"])
def test_strange_text(name: str, part: str, corpus: Path, caplog: pytest.LogCaptureFixture) -> None:
    program, required = PROGRAMS[name]
    if name == "one_look":
        required = [*required, "--training", part] if part != "train" else required
    small = ["--vocab-size=60"] if name == "parallel" else []
    for ending, content in itertools.product(("en", "de", "en.gz"), CONTENTS.values()):
        plain = Path(f"{part}.en")
        kept = plain.read_bytes()
        changed = Path(f"{part}.{ending}")
        before = changed.read_bytes() if changed.exists() else None
        if ending == "en.gz":
            plain.unlink()
        changed.write_bytes(content)
        status, errors = outcome(program, [*required, *small], caplog)
        assert status == 0 or f"{part}." in errors[0] or "train." in errors[0]
        if before is None:
            changed.unlink()
        else:
            changed.write_bytes(before)
        plain.write_bytes(kept)


def tar(mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        info = tarfile.TarInfo("x")
        info.size = len(WHOLE)
        archive.addfile(info, io.BytesIO(WHOLE))
    return buffer.getvalue()


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x", WHOLE)
    return buffer.getvalue()


DOCUMENTS: dict[str, Callable[[], bytes]] = {
    "x.tmx": TMX.encode,
    "x.tmx.gz": lambda: gzip.compress(TMX.encode()),
    "x.tsv": lambda: b"one\teins\ntwo\tzwei\n",
    "x.csv": lambda: b'one,"eins"\ntwo,"zw\nei"\n',
    "x.sgm": lambda: b"<seg>one</seg>\n",
    "x.tgz": lambda: tar("w:gz"),
    "x.tar.bz2": lambda: bz2.compress(tar("w")),
    "x.tar.xz": lambda: tar("w:xz"),
    "x.zip": zipped,
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_strange_documents(name: str, corpus: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = DOCUMENTS[name]()
    cuts = [whole[:n] for n in (1, 3, 10, len(whole) // 2, len(whole) - 1)]
    flips = [
        whole[:n] + b"\xff\xff" + whole[n + 2 :] for n in range(0, len(whole), len(whole) // 9)
    ]
    source = {"path": name} | ({"member": "x"} if "." in name[2:] or name[2] in "tz" else {})
    if name.startswith(("x.tmx", "x.tsv")):
        source = {"path": name}
    described = {
        "languages": ["en", "de"],
        "sources": {"x": source} | {n: {"path": f"{n}.{{language}}"} for n in ("train", "dev")},
        "train": ["x", "train"],
        "valid": ["dev"],
        "test": ["dev"],
        "vocabulary": {"vocab_size": 60},
    }
    Path("mix.yaml").write_text(yaml.safe_dump(described))
    for content in [whole, *cuts, *flips, *CONTENTS.values()]:
        Path(name).write_bytes(content)
        outcome(mix, PROGRAMS["mix"][1], caplog)


# --- Numbers of YAML files ------------------------------------------------------------------------

PLACES = {
    (): Mix,
    ("cleaning",): CleaningOptions,
    ("vocabulary",): SentencePieceOptions,
    ("sources", "one"): Source,
}
YAML_TEXTS = ["0", "-1", ".nan", ".inf", "-.inf", str(10**12), "x", "[1]", "null", "2001-99-99"]
YAML_NUMBERS = [
    (where, field.name)
    for where, options_of in PLACES.items()
    for field in fields(options_of)
    if RANGE in field.metadata
]


@pytest.mark.parametrize(("where", "name"), YAML_NUMBERS)
def test_numbers_of_yaml_files(where: tuple[str, ...], name: str, tmp_path: Path) -> None:
    path = tmp_path / "mix.yaml"
    for number in [*YAML_TEXTS, str(10**400), "9" * 5000]:
        described: dict[str, Any] = {
            "languages": ["en", "de"],
            "sources": {"one": {"path": "x"}},
            **{part: ["one"] for part in ("train", "valid", "test")},
        }
        inner = described
        for key in where:
            inner = inner.setdefault(key, {})
        inner[name] = "PLACE"
        path.write_text(yaml.safe_dump(described).replace("PLACE", number))
        try:
            read = read_mix(path)
        except DataError as error:
            assert "\n" not in str(error)
            assert len(str(error)) < 1000
        else:
            value: Any = read
            for key in (*where, name):
                value = value[key] if isinstance(value, dict) else getattr(value, key)
            [limits] = [f.metadata[RANGE] for f in fields(PLACES[where]) if f.name == name]
            assert value in limits
