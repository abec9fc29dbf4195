"""The stages of preparing parallel text, with fairseq-preprocess replaced by a stand-in."""

import json
import logging
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from data_prep import parallel
from data_prep.core.program import DataError
from data_prep.text import recipe

EXTRA_ARGUMENTS = ["--vocab-size", "60"]
SENTENCES = {
    "en": [f"{a} {b} ." for a in ("dogs", "cats", "men") for b in ("sleep", "run", "see us")],
    "de": [f"{a} {b} ." for a in ("hunde", "katzen", "männer") for b in ("ruhn", "gehn", "sehn")],
}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Return a folder with train, dev and test text of different lines."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for language, lines in SENTENCES.items():
        for part, chosen in {"train": lines[:6], "dev": lines[6:7], "test": lines[7:]}.items():
            (folder / f"{part}.{language}").write_text("\n".join(chosen) + "\n", "utf-8")
    return folder


@pytest.fixture(autouse=True)
def preprocess(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copy the dictionary instead of starting fairseq, which takes seconds."""

    def stand_in(folder: Path, *arguments: tuple[Path, Path]) -> None:
        folder.mkdir()
        shutil.copy(arguments[1][0], folder / "dict.en.txt")

    monkeypatch.setattr(recipe, "run_fairseq_preprocess", stand_in)


def prepare(corpus: Path, out: Path, *extra: str, test: str = "test") -> None:
    tests = ",".join(str(corpus / name) for name in test.split(","))
    arguments = ["--train", str(corpus / "train"), "--valid", str(corpus / "dev"), "--test", tests]
    languages = ["--source-lang", "en", "--target-lang", "de"]
    command = [*arguments, *languages, "--out", str(out), *EXTRA_ARGUMENTS, *extra]
    parallel.main(parallel.parse_arguments(command))


def made_stages(caplog: pytest.LogCaptureFixture) -> list[str]:
    messages = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return [message.split(":")[0] for message in messages if message.endswith(": started")]


def test_cleaned_text_is_kept_as_reference(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out")
    for part, source in {"train": "train", "valid": "dev", "test": "test"}.items():
        cleaned = (tmp_path / "out" / "text" / f"{part}.de").read_text("utf-8")
        assert cleaned == (corpus / f"{source}.de").read_text("utf-8")


def test_several_training_texts_are_joined(corpus: Path, tmp_path: Path) -> None:
    for language in SENTENCES:
        (corpus / f"more.{language}").write_text(f"more {language}\n")
    prepare(corpus, tmp_path / "out", "--train", f"{corpus}/train,{corpus}/more")
    assert (tmp_path / "out" / "text" / "train.de").read_text("utf-8").endswith("\nmore de\n")


def test_further_test_sets_are_numbered(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out", test="test,dev")
    text = tmp_path / "out" / "text"
    assert (text / "test1.en").read_text() == (corpus / "dev.en").read_text()


def test_dictionary_holds_every_piece(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out")
    listed = (tmp_path / "out" / "data-bin" / "dict.en.txt").read_text("utf-8").splitlines()
    tokens = {line.split(" ")[0] for line in listed}
    used = (tmp_path / "out" / "pieces" / "train.de").read_text("utf-8").split()
    assert set(used) <= tokens
    assert any(line.endswith(" 0") for line in listed)  # a piece that training never uses


def test_report_is_written(corpus: Path, tmp_path: Path) -> None:
    with (corpus / "train.en").open("a") as source, (corpus / "train.de").open("a") as target:
        source.write("\n")
        target.write("leer\n")
    prepare(corpus, tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert list(report) == ["train", "valid", "test"]
    assert report["train"]["found"]["empty"]["count"] == 1
    assert "train: 6 of 7 pairs kept" in (tmp_path / "out" / "report.txt").read_text("utf-8")


@pytest.mark.parametrize(
    ("change", "remade"),
    [
        ([], []),
        (["--vocab-size", "55"], ["sentencepiece", "encode", "binarise"]),
        (["--max-words", "100"], ["clean"]),  # which drops nothing here
        (["--workers", "2"], []),
    ],
)
def test_second_run_makes_only_what_has_changed(
    corpus: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    change: list[str],
    remade: list[str],
) -> None:
    with caplog.at_level(logging.INFO):
        prepare(corpus, tmp_path / "out")
        assert made_stages(caplog) == ["clean", "sentencepiece", "encode", "binarise"]
        prepare(corpus, tmp_path / "out", *change)
    assert made_stages(caplog) == remade


def test_changed_test_text_does_not_retrain_the_vocabulary(
    corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepare(corpus, tmp_path / "out")
    (corpus / "test.de").write_text("anders\nganz anders\n")
    caplog.clear()
    with caplog.at_level(logging.INFO):
        prepare(corpus, tmp_path / "out")
    assert made_stages(caplog) == ["clean", "encode", "binarise"]


def test_bad_input_leaves_the_earlier_result(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, tmp_path / "out")
    before = (tmp_path / "out" / "manifest.json").read_bytes()
    (corpus / "train.de").write_bytes(b"\xff\n" * 6)
    with pytest.raises(DataError, match=r"train\.de, line 1: not UTF-8"):
        prepare(corpus, tmp_path / "out")
    assert (tmp_path / "out" / "manifest.json").read_bytes() == before
    assert (tmp_path / "out" / "data-bin").exists()


def test_one_language_for_both_sides_is_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="both 'en'"):
        prepare(corpus, tmp_path / "out", "--target-lang", "en")


@pytest.mark.parametrize("name", ["a,b", "a:b"])
def test_folders_that_fairseq_would_not_understand_are_refused(
    corpus: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(DataError, match="choose another --out"):
        prepare(corpus, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_missing_file_is_noticed_before_anything_is_made(corpus: Path, tmp_path: Path) -> None:
    (corpus / "test.de").unlink()
    with pytest.raises(DataError, match=r"test\.de: no such file"):
        prepare(corpus, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_holds_nothing_of_its_own_place(corpus: Path, tmp_path: Path) -> None:
    (corpus / "terms.csv").write_text("en,de\ndogs run .,hunde gehn .\n\nx,\n")
    for folder in ("one", "a/further/two"):
        prepare(corpus, tmp_path / folder, test="test,terms.csv")
    one, two = tmp_path / "one", tmp_path / "a" / "further" / "two"
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert len(files) > 10
    for file in files:
        assert (one / file).read_bytes() == (two / file).read_bytes(), file


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("terms.tmx", '<tmx><body><tu><tuv lang="de"><seg>der Bus</seg></tuv><tuv lang="en"><seg>'
                      'bus</seg></tuv></tu></body></tmx>'),
        ("terms.csv", "de,en\nder Bus,bus\n"),
        ("terms.tsv", "bus\tder Bus\n"),
    ],
)  # fmt: skip
def test_a_termbase_is_a_test_set(corpus: Path, tmp_path: Path, name: str, content: str) -> None:
    (corpus / name).write_text(content)
    prepare(corpus, tmp_path / "out", test=f"test,{name}")
    assert (tmp_path / "out" / "raw" / "test1.en").read_text() == "bus\n"
    assert (tmp_path / "out" / "raw" / "test1.de").read_text() == "der Bus\n"


def test_two_documents_cannot_have_one_name(corpus: Path, tmp_path: Path) -> None:
    (corpus / "more").mkdir()
    for folder in (corpus, corpus / "more"):
        (folder / "terms.csv").write_text("bus,Bus\n")
    with pytest.raises(DataError, match=r"terms\.csv has the same name"):
        prepare(corpus, tmp_path / "out", test="terms.csv,more/terms.csv")
    assert not (tmp_path / "out").exists()


def test_a_folder_from_before_byte_fallback_keeps_its_vocabulary(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as before:
        before.setattr(recipe, "asdict", lambda options: {
            key: value for key, value in asdict(options).items() if key != "byte_fallback"
        })  # fmt: skip
        prepare(corpus, tmp_path / "out", "--no-byte-fallback")
    model = (tmp_path / "out" / "spm.model").read_bytes()
    (corpus / "test.en").write_text("dogs \u2603\ncats\n", "utf-8")
    with caplog.at_level(logging.INFO):
        prepare(corpus, tmp_path / "out")
    assert made_stages(caplog) == ["clean", "encode", "binarise"]
    assert (tmp_path / "out" / "spm.model").read_bytes() == model


def test_what_the_vocabulary_cannot_spell_is_spelled_in_bytes(corpus: Path, tmp_path: Path) -> None:
    (corpus / "test.en").write_text("dogs \u2603\ny\n", "utf-8")
    prepare(corpus, tmp_path / "out")
    listed = (tmp_path / "out" / "data-bin" / "dict.en.txt").read_text("utf-8").splitlines()
    tokens = {line.split(" ")[0] for line in listed}
    pieces = (tmp_path / "out" / "pieces" / "test.en").read_text("utf-8").split()
    assert "<0xE2>" in pieces
    assert set(pieces) <= tokens


@pytest.mark.parametrize("language", ["../en", "", "a\nb"])
def test_languages_that_lead_elsewhere_are_refused(
    corpus: Path, tmp_path: Path, language: str
) -> None:
    with pytest.raises(DataError, match=r"--source-lang: .*cannot be the name of a file"):
        prepare(corpus, tmp_path / "out", "--source-lang", language)


def test_more_shards_than_lines_are_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"--shards 7: the training text has only 6 pairs left"):
        prepare(corpus, tmp_path / "out", "--shards", "7")
