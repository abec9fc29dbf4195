"""The lexicon: no ambiguity in the target language, and correct English forms."""

from collections import Counter

import pytest

from data_prep.toy.lexicon import NAMES, Lexicon, add_ed, add_s


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon(1)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_two_entries_share_a_target_form(seed: int) -> None:
    repeated = [word for word, n in Counter(Lexicon(seed).target_words()).items() if n > 1]
    assert repeated == []


def test_names_differ_from_all_other_words(lexicon: Lexicon) -> None:
    names = lexicon.all_names()
    sources = {name.source for name in names}
    targets = {name.target for name in names}
    assert len(sources) == len(targets) == len(names) == NAMES
    assert not sources & targets


def test_a_small_language_has_the_most_frequent_words_and_fewer_names(lexicon: Lexicon) -> None:
    small = Lexicon(1, words=3, names=20)
    for kind, nouns in small.nouns.items():
        assert [n.singular for n in nouns] == [n.singular for n in lexicon.nouns[kind][:3]]
    assert [len(verbs) for verbs in small.verbs.values()] == [3, 3, 3]
    assert {kind: len(names) for kind, names in small.names.items()} == {
        "person": 10, "place": 6, "product": 4,
    }  # fmt: skip


def test_lexicon_follows_from_the_seed(lexicon: Lexicon) -> None:
    assert Lexicon(1).target_words() == lexicon.target_words()
    assert Lexicon(2).target_words() != lexicon.target_words()


def test_both_genders_occur(lexicon: Lexicon) -> None:
    genders = Counter(noun.soft for nouns in lexicon.nouns.values() for noun in nouns)
    assert min(genders.values()) > 0.25 * genders.total()


@pytest.mark.parametrize(
    ("word", "form"), [("dog", "dogs"), ("fox", "foxes"), ("cry", "cries"), ("monkey", "monkeys")]
)
def test_add_s(word: str, form: str) -> None:
    assert add_s(word) == form


@pytest.mark.parametrize(
    ("word", "form"), [("walk", "walked"), ("love", "loved"), ("carry", "carried")]
)
def test_add_ed(word: str, form: str) -> None:
    assert add_ed(word) == form
