"""Reading translations."""

from pathlib import Path

import pytest

from fairseq_plugins.errors import InputError
from fairseq_plugins.evaluation.hypotheses import Generation, hypotheses, read_lines

GENERATED = """2026-01-01 | INFO | loading
S-1\tx
H-1\t-0.5\tsecond sentence
D-1\t-0.5\tsecond sentence
H-1\t-0.9\tworse
H-0\t-1.2e-05\tfirst sentence
Generate test with beam=2: BLEU4 = 1
"""


def read(path: Path, text: str, count: int, remove_bpe: str | None = None) -> list[str]:
    path.write_text(text, encoding="utf-8")
    return hypotheses(path, count, remove_bpe, Generation())


def test_best_hypotheses_of_generate_in_the_order_of_the_corpus(tmp_path: Path) -> None:
    assert read(tmp_path / "g.txt", GENERATED, 2) == ["first sentence", "second sentence"]


def test_plain_text_is_taken_as_it_is(tmp_path: Path) -> None:
    assert read(tmp_path / "h.txt", "H-Milch\n\na\u2028b\n", 3) == ["H-Milch", "", "a\u2028b"]


@pytest.mark.parametrize(
    ("kind", "text"), [("sentencepiece", "\u2581a dog s \u2581x"), ("subword_nmt", "a@@ dog@@ s x")]
)
def test_subwords_are_joined_on_demand_and_refused_otherwise(
    tmp_path: Path, kind: str, text: str
) -> None:
    assert read(tmp_path / "h.txt", text + "\n", 1, kind) == ["adogs x"]
    with pytest.raises(InputError, match=rf"h\.txt: is in subwords.*--remove-bpe {kind}"):
        read(tmp_path / "h.txt", text + "\n", 1)


def test_wrong_number_of_translations_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"h\.txt: contains 2 translations for 3 references"):
        read(tmp_path / "h.txt", "a\nb\n", 3)


def test_line_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"gut\nschlecht\xff\n")
    with pytest.raises(InputError, match="line 2: not UTF-8"):
        read_lines(tmp_path / "x")


def test_checkpoint_needs_data(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="add --data"):
        hypotheses(tmp_path / "model.pt", 1, None, Generation())
