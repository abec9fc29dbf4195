"""Terms in a translation: followed like an oracle, and mixed in without losing mass."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq_plugins.memory.terms import Term
from fairseq_plugins.modules.term_reader import (
    BEGIN,
    CONTINUE,
    TermReader,
    TermReading,
    progress,
)
from fairseq_plugins.modules.words import Words

SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]
SYMBOLS = [*SPECIALS, "▁the", "▁go", "at", "ee", "▁spitz", "bart", "▁der", "en"]
THE, GO, AT, EE, SPITZ, BART, DER, EN = range(4, 12)
EOS = 2
SOURCE = torch.tensor([[THE, GO, AT, EE, EOS]])


@pytest.fixture
def reader() -> TermReader:
    words = Words(SYMBOLS, 4)
    reader = TermReader(words, words)
    cue = int(words.numbers(SOURCE)[0][0, 1])
    reader.memory.teach([Term(cue, (SPITZ, BART), 0)], origin=0)
    return reader


def looking_at(*positions: int) -> torch.Tensor:
    """[1, T, source], all of the attention on one source token at each step."""
    attention = torch.zeros(1, len(positions), SOURCE.shape[1])
    for step, position in enumerate(positions):
        attention[0, step, position] = 1.0
    return attention


def read(reader: TermReader, prefix: list[int], attention: torch.Tensor) -> TermReading:
    called = reader.call(SOURCE)
    assert called is not None
    return reader.read(called, torch.tensor([prefix]), attention)


def plain_progress(prefix: list[int], pieces: list[int]) -> tuple[list[int], list[int]]:
    """Return the contract of ``progress``, position by position."""
    said, done = [], []
    for end in range(1, len(prefix) + 1):
        ending = [m for m in range(1, len(pieces) + 1) if prefix[:end][-m:] == pieces[:m]]
        said.append(max(ending, default=0))
        full = [e for e in range(1, end + 1) if prefix[:e][-len(pieces) :] == pieces]
        done.append(len(full))
    return said, done


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=9),
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=3), min_size=1, max_size=3),
)
def test_progress_is_that_of_an_oracle(prefix: list[int], terms: list[list[int]]) -> None:
    padded = torch.full((1, len(terms), 3), -1)
    for row, pieces in zip(padded[0], terms, strict=True):
        row[: len(pieces)] = torch.tensor(pieces)
    said, done = progress(torch.tensor([prefix]), padded)
    for term, pieces in enumerate(terms):
        expected = plain_progress(prefix, pieces)
        assert (said[0, term].tolist(), done[0, term].tolist()) == expected


def test_term_begins_where_the_attention_is_on_its_cue(reader: TermReader) -> None:
    reading = read(reader, [EOS, DER], looking_at(0, 2))
    assert reading.gate[0].tolist() == pytest.approx([0.0, BEGIN])
    assert reading.piece[0, 1] == SPITZ


def test_begun_term_goes_on_wherever_the_attention_is_and_then_the_word_ends(
    reader: TermReader,
) -> None:
    reading = read(reader, [EOS, SPITZ, BART], looking_at(2, 0, 2))
    assert reading.gate[0].tolist() == pytest.approx([BEGIN, CONTINUE, 0.0])
    assert reading.piece[0, 1] == BART
    assert reading.ends[0].tolist() == [False, False, True]


def test_only_a_term_that_is_trusted_ends_its_word(reader: TermReader) -> None:
    """Lessons that have the cue and no new word lower the trust: to 1/2, 1/3, 1/4."""
    ends = []
    for lesson in range(1, 5):
        reading = read(reader, [EOS, SPITZ, BART], looking_at(2, 0, 2))
        ends.append(bool(reading.ends[0, 2]))
        reader.memory.teach([Term(int(reader.memory.cues[0]), (), 0)], origin=lesson)
    assert ends == [True, True, True, False]


def test_term_is_said_as_often_as_its_cue_is_there(reader: TermReader) -> None:
    reading = read(reader, [EOS, SPITZ, BART, DER], looking_at(2, 0, 0, 2))
    assert reading.gate[0, 3] == 0


def test_sources_without_a_cue_call_nothing(reader: TermReader) -> None:
    assert reader.call(torch.tensor([[THE, EOS], [THE, THE]])) is None
    reader.memory.clear()
    assert reader.call(SOURCE) is None


def test_one_step_at_a_time_reads_as_all_at_once(reader: TermReader) -> None:
    prefix, attention = [EOS, DER, SPITZ, BART, EN, SPITZ], looking_at(1, 2, 3, 0, 1, 2)
    whole = read(reader, prefix, attention)
    for end in range(1, len(prefix) + 1):
        step = read(reader, prefix[:end], attention[:, end - 1 : end])
        for name in ("gate", "piece", "ends"):
            assert torch.equal(getattr(step, name)[0, -1], getattr(whole, name)[0, end - 1])


def test_sources_call_the_lessons_that_they_are_related_to(reader: TermReader) -> None:
    """Lesson 5 has no new word, only the same rare source words; the first source has no cue."""
    cue = int(reader.source.numbers(SOURCE)[0][0, 1])
    reader.memory.teach([Term(cue, (), 1)], origin=5)
    called = reader.call(torch.cat([torch.full_like(SOURCE, THE), SOURCE]))
    assert called is not None
    assert called.lessons.tolist() == [[-1, -1], [0, 5]]
    assert called.select(torch.tensor([1, 1])).lessons.tolist() == [[0, 5], [0, 5]]
    reader.memory.forget(0)
    without = reader.call(SOURCE)  # no term, but a related lesson
    assert without is not None and without.lessons.tolist() == [[5]]
    reading = reader.read(without, torch.tensor([[EOS]]), looking_at(1))
    log_probs = torch.log_softmax(torch.randn(1, 1, len(SYMBOLS)), dim=-1)
    assert torch.equal(reading.mix(log_probs), log_probs)


def test_batches_and_beams_read_each_row_for_itself(reader: TermReader) -> None:
    sources = torch.tensor([[THE, GO, AT, EE, EOS], [THE, THE, EOS, 1, 1]])
    called = reader.call(sources)
    assert called is not None
    order = torch.tensor([1, 0, 0])
    prefix = torch.tensor([[EOS], [EOS], [EOS]])
    reading = reader.read(called.select(order), prefix, looking_at(1).expand(3, -1, -1))
    assert reading.gate[:, 0].tolist() == pytest.approx([0.0, BEGIN, BEGIN])


def test_mixture_is_a_distribution_and_follows_its_formula(reader: TermReader) -> None:
    log_probs = torch.log_softmax(torch.randn(1, 3, len(SYMBOLS)), dim=-1)
    reading = read(reader, [EOS, DER, SPITZ], looking_at(0, 2, 0))
    mixed = reading.mix(log_probs.clone()).exp()
    assert mixed.sum(-1)[0].tolist() == pytest.approx([1.0] * 3, abs=1e-5)
    gates = torch.tensor([0.0, BEGIN, CONTINUE])
    expected = log_probs.exp() * (1 - gates[None, :, None])
    expected[0, 1, SPITZ] += gates[1]
    expected[0, 2, BART] += CONTINUE
    torch.testing.assert_close(mixed, expected)


def test_frequent_words_are_written_first(reader: TermReader) -> None:
    """A translation of "the" is frequent; the term waits until it is written."""
    words = reader.target
    reader.target_counts.add(words.number[torch.tensor([DER] * 500 + [SPITZ])])
    reading = read(reader, [EOS], looking_at(2))
    certain = torch.full((1, 1, len(SYMBOLS)), -20.0)
    for piece, expected in ((DER, 0.0), (SPITZ, BEGIN), (THE, BEGIN), (EN, BEGIN), (EOS, BEGIN)):
        log_probs = torch.log_softmax(certain.index_fill(2, torch.tensor(piece), 0.0), dim=-1)
        assert reading.gates(log_probs).item() == pytest.approx(expected, abs=1e-6)


def test_once_begun_a_term_waits_for_nothing(reader: TermReader) -> None:
    reader.target_counts.add(reader.target.number[torch.tensor([DER] * 500)])
    reading = read(reader, [EOS, SPITZ], looking_at(2, 2))
    log_probs = torch.full((1, 2, len(SYMBOLS)), -20.0)
    log_probs[..., DER] = 0.0
    assert reading.gates(log_probs)[0].tolist() == pytest.approx([0.0, CONTINUE], abs=1e-6)


def test_no_term_begins_inside_a_word() -> None:
    """With joiners, any piece after one continues a word."""
    symbols = [*SPECIALS, "go@@", "at", "spitz@@", "bart"]
    words = Words(symbols, 4)
    reader, source = TermReader(words, words), torch.tensor([[4, 5, EOS]])
    reader.memory.teach([Term(int(words.numbers(source)[0][0, 0]), (6, 7), 0)], origin=0)
    called = reader.call(source)
    assert called is not None
    attention = torch.tensor([[[1.0, 0.0, 0.0]] * 3])
    gate = reader.read(called, torch.tensor([[EOS, 5, 4]]), attention).gate[0]
    assert gate.tolist() == pytest.approx([BEGIN, BEGIN, 0.0])


def test_after_a_term_pieces_that_would_go_on_lose_probability(reader: TermReader) -> None:
    log_probs = torch.log_softmax(torch.zeros(1, 1, len(SYMBOLS)), dim=-1)
    reading = read(reader, [EOS, SPITZ, BART], looking_at(0))
    mixed = reading.mix(log_probs).exp()[0, 0]
    assert mixed.sum() == pytest.approx(1.0, abs=1e-5)
    assert mixed[EN] < 0.1 * mixed[DER] and mixed[EOS] == pytest.approx(mixed[DER].item())
