"""The sentencepiece model is reproducible, preserves text, and copes with tiny corpora."""

import logging
from pathlib import Path

import pytest

from data_prep.core.program import DataError
from data_prep.text.sentencepiece_model import (
    SentencePieceOptions,
    encode_file,
    load_model,
    piece_names,
    train_model,
)

LINES = [
    f"{subject} {verb} {thing} ."
    for subject in ("the dog", "ein hund", "two old men", "zwei alte männer")
    for verb in ("sees", "sieht", "paints", "malen")
    for thing in ("a house", "ein haus", "the river", "den fluss")
]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "train.en"
    path.write_text("".join(line + "\n" for line in LINES), "utf-8")
    return path


@pytest.mark.parametrize("model_type", ["bpe", "unigram"])
def test_same_text_gives_the_same_model(tmp_path: Path, text: Path, model_type: str) -> None:
    options = SentencePieceOptions(vocab_size=60, model_type=model_type)
    for name in ("one", "two"):
        train_model([text], tmp_path / name, options)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_vocabulary_size_is_as_asked(tmp_path: Path, text: Path) -> None:
    train_model([text], tmp_path / "model", SentencePieceOptions(vocab_size=60))
    assert load_model(tmp_path / "model").get_piece_size() == 60 + 256
    without = SentencePieceOptions(vocab_size=60, byte_fallback=False)
    train_model([text], tmp_path / "model", without)
    assert load_model(tmp_path / "model").get_piece_size() == 60


def test_too_large_a_vocabulary_becomes_smaller_with_a_warning(
    tmp_path: Path, text: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        train_model([text], tmp_path / "model", SentencePieceOptions(vocab_size=8000))
    assert 50 < load_model(tmp_path / "model").get_piece_size() - 256 < 1000
    assert "of the 8000 pieces asked for" in caplog.text


def test_vocabulary_smaller_than_the_alphabet_is_an_error(tmp_path: Path, text: Path) -> None:
    with pytest.raises(DataError, match=r"train\.en: .*cannot learn 8 pieces.*--vocab-size"):
        train_model([text], tmp_path / "model", SentencePieceOptions(vocab_size=8))


def test_encoding_loses_nothing(tmp_path: Path, text: Path) -> None:
    strange = ["ein haus , &quot; 3.5 % ﬁne ½ \uff21 „x“ … # @-@ 漢字 🙂 .", "x", ""]
    (tmp_path / "strange").write_text("".join(line + "\n" for line in strange), "utf-8")
    train_model([text], tmp_path / "model", SentencePieceOptions(vocab_size=60))
    model = load_model(tmp_path / "model")
    encode_file(model, tmp_path / "strange", tmp_path / "encoded", workers=2)
    encoded = (tmp_path / "encoded").read_text("utf-8").split("\n")[:-1]
    assert [model.decode(line.split(" ")) for line in encoded] == strange
    assert all(piece in piece_names(model) for line in encoded for piece in line.split())


def test_piece_names_hold_every_piece_of_the_training_text_and_no_control_symbol(
    tmp_path: Path, text: Path
) -> None:
    train_model([text], tmp_path / "model", SentencePieceOptions(vocab_size=60))
    model = load_model(tmp_path / "model")
    names = set(piece_names(model))
    assert {piece for line in LINES for piece in model.encode(line, out_type=str)} <= names
    assert not names & {"<s>", "</s>", "<unk>", "<pad>"}


def test_foreign_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"not a model")
    with pytest.raises(DataError, match="model: not a sentencepiece model"):
        load_model(tmp_path / "model")


def test_bytes_change_no_other_piece(tmp_path: Path, text: Path) -> None:
    names = []
    for fallback in (True, False):
        options = SentencePieceOptions(vocab_size=60, byte_fallback=fallback)
        train_model([text], tmp_path / "model", options)
        names.append(piece_names(load_model(tmp_path / "model")))
    assert [name for name in names[0] if not name.startswith("<0x")] == names[1]


def test_a_model_does_not_tell_where_it_was_made(tmp_path: Path, text: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    copy = elsewhere / "other.en"
    copy.write_bytes(text.read_bytes())
    for source, name in ((text, "one"), (copy, "two")):
        train_model([source], tmp_path / name, SentencePieceOptions(vocab_size=60))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert str(tmp_path).encode() not in (tmp_path / "one").read_bytes()
