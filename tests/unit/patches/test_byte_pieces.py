"""Byte pieces are decoded to the text that they spell."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from fairseq.data import Dictionary, data_utils
from fairseq.data.encoders.sentencepiece_bpe import SentencepieceBPE

from data_prep.text.sentencepiece_model import SentencePieceOptions, load_model, train_model
from fairseq_plugins.patches.byte_pieces import join_bytes


@pytest.mark.parametrize(
    ("pieces", "joined"),
    [
        ("\u2581a <0xE2> <0x98> <0x83> b", "\u2581a \u2603 b"),
        ("<0xE2> <0x98> <0x83>", "\u2603"),
        ("<0xE2> x <0x83>", "\ufffd x \ufffd"),
        ("x<0xE2> <0xE2>x <0xe2> <0x123>", "x<0xE2> <0xE2>x <0xe2> <0x123>"),  # are text
        ("\u2581a b", "\u2581a b"),
        ("", ""),
    ],
)
def test_runs_of_bytes(pieces: str, joined: str) -> None:
    assert join_bytes(pieces) == joined


def test_fairseq_reads_what_sentencepiece_writes(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a dog runs .\nthe dogs run .\n" * 3)
    train_model([tmp_path / "text"], tmp_path / "spm.model", SentencePieceOptions(vocab_size=20))
    line = "a dog \u2603 \u6f22\u5b57 <0x41> ru\U0001f642ns \u00fc"
    pieces = load_model(tmp_path / "spm.model").encode(line, out_type=str)
    bpe = SentencepieceBPE(
        SimpleNamespace(
            sentencepiece_model=str(tmp_path / "spm.model"),
            sentencepiece_enable_sampling=False,
            sentencepiece_alpha=None,
        )
    )
    assert bpe.decode(bpe.encode(line)) == line
    assert data_utils.post_process(" ".join(pieces), "sentencepiece") == line
    dictionary = Dictionary()
    tokens = dictionary.encode_line(" ".join(pieces))
    assert dictionary.string(tokens, "sentencepiece") == line
    assert dictionary.string(tokens) == " ".join(pieces)
