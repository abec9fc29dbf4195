"""What a lesson teaches about single words: which source word triggers each new target word."""

import pytest
import torch

from fairseq_plugins.memory.terms import Term
from fairseq_plugins.modules.term_reader import TermReader
from fairseq_plugins.modules.words import Words
from fairseq_plugins.teaching.terms import choose_cues, likeness, terms_of

SYMBOLS = ["<s>", "<pad>", "</s>", "<unk>", "▁the", "▁go", "at", "▁der", "▁spitz", "bart", "▁berg"]
THE, GO, AT, DER, SPITZ, BART, BERG = range(4, 11)
EOS = 2
SOURCE, TARGET = torch.tensor([THE, GO, AT, EOS]), torch.tensor([DER, SPITZ, BART, EOS])


@pytest.fixture
def reader() -> TermReader:
    """Return a reader that knows "the" and "der"."""
    words = Words(SYMBOLS, 4)
    reader = TermReader(words, words)
    known = torch.tensor([[THE, DER]])
    for counts in (reader.source_counts, reader.target_counts):
        for _ in range(100):
            counts.add(words.numbers(known)[0].flatten())
    return reader


def number(reader: TermReader, *pieces: int) -> int:
    return int(reader.source.numbers(torch.tensor([list(pieces)]))[0][0, 0])


def looking(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(list(rows))


def test_a_new_word_is_triggered_by_the_source_word_under_attention(reader: TermReader) -> None:
    attention = looking([1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1])
    assert terms_of(reader, SOURCE, TARGET, attention) == [
        Term(number(reader, GO, AT), (SPITZ, BART), 0)
    ]


def test_of_two_source_words_the_rare_one_is_taken(reader: TermReader) -> None:
    attention = looking(*[[0.5, 0.25, 0.25, 0]] * 4)
    assert terms_of(reader, SOURCE, TARGET, attention)[0].cue == number(reader, GO, AT)


def test_known_words_teach_nothing_and_rare_sources_are_counted(reader: TermReader) -> None:
    attention = looking([1, 0, 0, 0], [0, 0, 0, 1])
    found = terms_of(reader, SOURCE, torch.tensor([DER, EOS]), attention)
    assert found == [Term(number(reader, GO, AT), (), 0)]


def test_two_new_words_have_two_source_words(reader: TermReader) -> None:
    """The attention of both is on the first one, but it is the word of only one of them."""
    source = torch.tensor([GO, SPITZ, EOS])
    target = torch.tensor([BERG, SPITZ, BART, EOS])
    attention = looking([0.6, 0.4, 0], [0.9, 0.1, 0], [0.9, 0.1, 0], [0, 0, 1])
    reader.source.texts[SPITZ] = "x"  # no likeness
    cues = [term.cue for term in terms_of(reader, source, target, attention)]
    assert cues == [number(reader, SPITZ), number(reader, GO)]


def test_a_source_without_words_teaches_nothing(reader: TermReader) -> None:
    assert terms_of(reader, torch.tensor([EOS]), TARGET, torch.ones(4, 1)) == []


@pytest.mark.parametrize(
    ("scores", "chosen"),
    [
        ([], []),
        ([[1.0, 2.0]], [1]),
        ([[1.0, 2.0], [1.0, 3.0]], [0, 1]),
        ([[1.0, 9.0], [1.0, 9.0]], [1, 1]),  # two words for one, if the others are much less likely
        ([[0.0, 0.0], [0.0, 0.0]], [0, 0]),
        ([[3.0, 2.0, 1.0], [3.0, 2.5, 1.0], [2.9, 1.0, 2.0]], [0, 1, 2]),
    ],
)
def test_cues_are_chosen_the_most_certain_first(
    scores: list[list[float]], chosen: list[int]
) -> None:
    assert choose_cues(torch.tensor(scores)) == chosen


def test_likeness_is_the_share_of_common_trigrams() -> None:
    assert likeness("zagreb", "zagreb") == 1.0
    assert likeness("cat", "hund") == 0.0
    assert likeness("japan", "japans") == pytest.approx(4 / 7)
