"""Words of one-look sets: unseen, taught once, asked for elsewhere, with their true source word."""

from dataclasses import replace
from random import Random

import pytest

from data_prep.text.one_look import OneLook, OneLookOptions, choose, words_of

OPTIONS = OneLookOptions(words=10, others=20)


def made_up(rare: int = 12, showings: int = 4, seed: int = 1) -> list[tuple[str, str]]:
    """Return sentences of twelve frequent words, some with a rare one, whose translation is spelled
    otherwise: `raroonesto` is `seldoonesta`. Rare words often come in twos."""
    random = Random(seed)
    frequent = [f"word{letter}" for letter in "abcdefghijkl"]
    names = [f"{chr(97 + n // 10)}one{chr(97 + n % 10)}" for n in range(rare)]
    needed = [name for name in names for _ in range(showings)]
    random.shuffle(needed)
    pairs = []
    for line in range(200):
        words = random.sample(frequent, 5)
        source, target = list(words), [f"x{word}" for word in words]
        for _ in range(random.choice((0, 1, 2)) if line > 50 else 0):
            if needed:
                name = needed.pop()
                source.insert(random.randrange(5), f"raro{name}sto")
                target.insert(random.randrange(5), f"Seldo{name}sta")
        pairs.append((" ".join(source) + ".", " ".join(target) + "."))
    return pairs


@pytest.fixture
def pairs() -> list[tuple[str, str]]:
    return made_up()


@pytest.fixture
def found(pairs: list[tuple[str, str]]) -> OneLook:
    return choose(pairs, set(), OPTIONS)


def test_there_is_enough_to_test(found: OneLook) -> None:
    assert len({one.word for one in found.asked}) >= 5
    assert max(len(found.questions()), len(found.asked)) > len(found.lessons())


def test_source_words_are_the_true_ones(found: OneLook) -> None:
    for one in found.asked:
        assert one.source_word == one.word.replace("seldo", "raro").replace("sta", "sto")


def test_each_word_is_taught_in_one_pair(found: OneLook, pairs: list[tuple[str, str]]) -> None:
    asked = {one.word: one.lesson for one in found.asked}
    assert len(set(asked.values())) == len(asked) == len(found.lessons())
    for word, lesson in asked.items():
        having = [place for place in found.lessons() if word in words_of(pairs[place][1])]
        assert having == [lesson]


def test_questions_hold_both_words_and_are_no_lessons(
    found: OneLook, pairs: list[tuple[str, str]]
) -> None:
    assert not set(found.questions()) & set(found.lessons())
    for one in found.asked:
        for place in (one.lesson, one.question):
            assert one.source_word in words_of(pairs[place][0])
            assert one.word in words_of(pairs[place][1])


def test_other_pairs_have_none_of_the_words(found: OneLook, pairs: list[tuple[str, str]]) -> None:
    words = {word for one in found.asked for word in (one.word, one.source_word)}
    assert len(found.others) == OPTIONS.others
    for place in found.others:
        assert words.isdisjoint(words_of(" ".join(pairs[place])))


def test_all_pairs_with_a_word_are_known(found: OneLook, pairs: list[tuple[str, str]]) -> None:
    words = {one.word for one in found.asked}
    assert list(found.having) == [
        place for place, (_, target) in enumerate(pairs) if not words.isdisjoint(words_of(target))
    ]


def test_known_words_are_not_chosen(found: OneLook, pairs: list[tuple[str, str]]) -> None:
    known = {one.word for one in found.asked}
    again = {one.word for one in choose(pairs, known, OPTIONS).asked}
    assert again
    assert not again & known


def test_the_seed_decides(pairs: list[tuple[str, str]], found: OneLook) -> None:
    assert choose(pairs, set(), OPTIONS) == found
    assert choose(pairs, set(), replace(OPTIONS, seed=2)) != found


def test_no_more_words_and_questions_than_wanted(pairs: list[tuple[str, str]]) -> None:
    found = choose(pairs, set(), replace(OPTIONS, words=2, questions=1))
    assert len(found.lessons()) == len(found.asked) == 2


@pytest.mark.parametrize("limit", [{"min_letters": 14}, {"max_pairs": 2}, {"max_words": 5}])
def test_limits_that_no_word_meets(pairs: list[tuple[str, str]], limit: dict[str, int]) -> None:
    assert not choose(pairs, set(), replace(OPTIONS, **limit)).asked


def test_a_word_without_a_companion_is_not_chosen() -> None:
    pairs = [(f"other{letter} here", "mysterium hier") for letter in "abcd"]
    pairs += [("here", "hier und dort")] * 5
    assert choose(pairs, set(), OPTIONS).asked == []


def test_a_source_word_that_fits_another_word_better_is_not_taken() -> None:
    pairs = [
        ("alpha one", "zetazeta eins"),
        ("alpha two", "zetazeta seltenes zwei"),
        ("alpha three", "zetazeta seltenes drei"),
    ]
    found = choose(pairs, set(), replace(OPTIONS, min_letters=6))
    assert {(one.word, one.source_word) for one in found.asked} == {("zetazeta", "alpha")}


def test_names_are_found_by_their_spelling() -> None:
    pairs = [
        ("behold sennacherib came", "siehe sanherib kam"),
        ("behold sennacherib went", "siehe sanherib ging"),
    ]
    options = replace(OPTIONS, min_letters=6)
    assert {(one.word, one.source_word) for one in choose(pairs, set(), options).asked} == {
        ("sanherib", "sennacherib")
    }


def test_a_repeated_sentence_is_no_question() -> None:
    pairs = [("a sennacherib", "ein sanherib")] * 3
    assert choose(pairs, set(), OPTIONS).asked == []


def test_places_among_lessons_and_questions(found: OneLook) -> None:
    data = found.as_data()
    assert [found.lessons()[one["lesson"]] for one in data] == [one.lesson for one in found.asked]
    assert [found.questions()[one["question"]] for one in data] == [
        one.question for one in found.asked
    ]


def test_words() -> None:
    assert words_of("The Über-Hund's 3 bones, a_b C3PO: Ärger.") == [
        "the", "über-hund's", "bones", "a", "b", "c", "po", "ärger",
    ]  # fmt: skip


def test_other_pairs_have_no_source_word_of_a_lesson(pairs: list[tuple[str, str]]) -> None:
    """Such a word may stand there without its translation."""
    names = {word for source, _ in pairs for word in words_of(source) if word.startswith("raro")}
    pairs += [
        (f"only {name} here {n}.", f"xonly xhere {n}.") for n, name in enumerate(sorted(names))
    ]
    found = choose(pairs, {"xonly", "xhere"}, replace(OPTIONS, others=1000))
    spoken = {one.source_word for one in found.asked}
    assert spoken and len(found.others) > 100
    assert all(spoken.isdisjoint(words_of(pairs[place][0])) for place in found.others)
