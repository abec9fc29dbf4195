"""Words made of pieces: their limits, and numbers that do not depend on the pieces."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fairseq_plugins.modules.words import Words

SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]


def words(*pieces: str) -> Words:
    return Words([*SPECIALS, *pieces], len(SPECIALS))


def tokens(of: Words, *pieces: str) -> torch.Tensor:
    return torch.tensor([[of.index[piece] for piece in pieces]])


def test_sentencepiece_words_end_at_marks_and_punctuation() -> None:
    of = words("▁go", "at", "ee", ",", "▁the", "▁(", "s", "wan", ")")
    line = tokens(of, "▁the", "▁go", "at", "ee", ",", "▁(", "s", "wan", ")", "</s>")
    assert of.spans(line[0]) == [(0, 1), (1, 4), (6, 8)]
    numbers, begins = of.numbers(line)
    assert begins[0].nonzero().flatten().tolist() == [0, 1, 6]
    assert len(set(numbers[0, 1:4].tolist())) == 1
    assert numbers[0, [4, 5, 8, 9]].tolist() == [0, 0, 0, 0]


def test_subword_nmt_and_plain_words() -> None:
    of = words("go@@", "at@@", "ee", "the", ".")
    assert of.spans(tokens(of, "the", "go@@", "at@@", "ee", ".")[0]) == [(0, 1), (1, 4)]
    plain = words("the", "swan", ".")
    assert plain.spans(tokens(plain, "the", "swan", ".")[0]) == [(0, 1), (1, 2)]


def test_lone_mark_begins_a_word() -> None:
    of = words("▁", "x", "y")
    line = tokens(of, "▁", "x", "y")
    assert of.spans(line[0]) == [(0, 3)]
    assert of.text(line[0].tolist()) == "xy"


@given(st.text("abcäß9", min_size=1, max_size=12), st.data())
def test_number_does_not_depend_on_the_cut(word: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(word)), max_size=4)) - {len(word)})
    parts = [word[i:j] for i, j in zip([0, *cuts], [*cuts, len(word)], strict=True)]
    pieces = ["▁" + parts[0], *parts[1:]]
    of = words(*dict.fromkeys(["▁" + word.upper(), *pieces]))
    whole, _ = of.numbers(tokens(of, "▁" + word.upper()))
    if word.upper().lower() == word:
        assert of.numbers(tokens(of, *pieces))[0][0, 0] == whole[0, 0]
    sentence = tokens(of, *pieces, *pieces)[0]
    spans = of.spans(sentence)
    of_all = of.numbers(sentence.unsqueeze(0))[0][0]
    assert of.numbers_of(sentence, spans) == [int(of_all[begin]) for begin, _ in spans]


def test_different_words_have_different_numbers() -> None:
    texts = [f"▁w{i}" for i in range(5000)]
    of = words(*texts)
    numbers, _ = of.numbers(tokens(of, *texts))
    assert len(set(numbers[0].tolist())) == len(texts)


@pytest.mark.parametrize(
    ("pieces", "own", "expected"),
    [
        (["▁a", "b"], [], ["▁a", "b"]),
        (["a", "b"], ["▁a"], ["▁a", "b"]),
        (["a", "b"], ["▁"], ["▁", "a", "b"]),
        (["a", "b"], ["▁z"], ["a", "b"]),
    ],
)
def test_word_spelled_to_stand_by_itself(
    pieces: list[str], own: list[str], expected: list[str]
) -> None:
    of = words(*dict.fromkeys([*pieces, *own, "▁other"]))
    found = of.at_a_word_start([of.index[piece] for piece in pieces])
    assert [of.symbols[piece] for piece in found] == expected
