"""The grammar: word order, agreement, tense, negation, case, and the example in the docs."""

from dataclasses import replace
from random import Random

import pytest

from data_prep.toy import language
from data_prep.toy.language import WORDS, Clause, Phrase, Speaker, english, names_in, yy
from data_prep.toy.lexicon import ENDINGS, Adjective, Lexicon, Name, Noun, Verb, ending

KING = Noun("king", "kings", "rug", soft=True)
EGG = Noun("egg", "eggs", "big", soft=False)
RED = Adjective("red", "nas")
BIG = Adjective("big", "lel")
WATCH = Verb("watch", "watches", "watched", "kod")
GIVE = Verb("give", "gives", "gave", "van")
MIRA = Name("Mira", "Kukasao", "person")
TOLIN = Name("Tolin", "Yetana", "person")
WINTON = Name("Winton", "Nokoyo", "place")

KING_WATCHES_EGG = Clause(WATCH, "present", False, False, Phrase(KING), Phrase(EGG))


def both(clause: Clause) -> tuple[str, str]:
    return " ".join(english(clause)), " ".join(yy(clause))


def test_verb_comes_last() -> None:
    assert both(KING_WATCHES_EGG) == ("the king watches the egg", "la ruga lom bigom kodat")


@pytest.mark.parametrize(
    ("tense", "plural", "negated", "source", "target"),
    [
        ("present", True, False, "watch", "kodant"),
        ("present", False, True, "does not watch", "ne kodat"),
        ("present", True, True, "do not watch", "ne kodant"),
        ("past", False, False, "watched", "kodit"),
        ("past", True, True, "did not watch", "ne kodint"),
        ("future", False, False, "will watch", "kodut"),
        ("future", True, True, "will not watch", "ne kodunt"),
    ],
)
def test_verb_forms(tense: str, plural: bool, negated: bool, source: str, target: str) -> None:
    clause = Clause(WATCH, tense, negated, plural)
    assert both(clause) == (source, target)


def test_adjectives_follow_in_mirror_order_and_agree() -> None:
    kings = Phrase(KING, plural=True, adjectives=(BIG, RED))
    clause = replace(KING_WATCHES_EGG, subject=Phrase(EGG), object=kings)
    assert both(clause) == (
        "the egg watches the big red kings",
        "lo bigo laim rugaim nasaim lelaim kodat",
    )


def test_indefinite_articles() -> None:
    one, some = Phrase(EGG, determiner="a"), Phrase(EGG, plural=True, determiner="some")
    clause = replace(KING_WATCHES_EGG, subject=one, object=some)
    assert both(clause) == ("an egg watches some eggs", "to bigo toim bigoim kodat")


def test_numerals_do_not_change() -> None:
    clause = replace(KING_WATCHES_EGG, object=Phrase(EGG, plural=True, determiner="two"))
    assert both(clause) == ("the king watches two eggs", "la ruga bi bigoim kodat")


def test_recipient_and_place_are_oblique_and_before_the_object() -> None:
    clause = Clause(
        GIVE, "past", False, False, Phrase(KING), Phrase(EGG), Phrase(KING), "in", Phrase((WINTON,))
    )
    assert both(clause) == (
        "the king gave the egg to the king in Winton",
        "la ruga las rugas sis Nokoyo ra lom bigom vanit",
    )


def test_two_names_make_a_plural() -> None:
    clause = Clause(WATCH, "present", False, True, Phrase((MIRA, TOLIN), plural=True), Phrase(EGG))
    assert both(clause) == (
        "Mira and Tolin watch the egg",
        "si Kukasao ai si Yetana lom bigom kodant",
    )


def test_relative_pronoun_is_nominative_where_its_noun_is_the_subject() -> None:
    relative = Clause(WATCH, "past", False, False, object=Phrase(EGG))
    clause = replace(KING_WATCHES_EGG, object=Phrase(KING, relative=relative))
    assert both(clause) == (
        "the king watches the king who watched the egg",
        "la ruga lam rugam ka lom bigom kodit kodat",
    )


def test_relative_pronoun_is_accusative_where_its_noun_is_the_object() -> None:
    relative = Clause(WATCH, "past", False, False, subject=Phrase(KING))
    clause = replace(KING_WATCHES_EGG, subject=Phrase(EGG, relative=relative), object=None)
    assert both(clause) == (
        "the egg that the king watched watches",
        "lo bigo kom la ruga kodit kodat",
    )


def test_twelve_endings_are_all_different() -> None:
    assert len(set(ENDINGS)) == 12
    assert ending(soft=True, plural=True, case="accusative") == "aim"


def test_documented_example_is_what_the_program_says() -> None:
    lexicon = Lexicon(1)
    nouns = {noun.singular: noun for kind in lexicon.nouns.values() for noun in kind}
    verbs = {verb.base: verb for kind in lexicon.verbs.values() for verb in kind}
    adjectives = {adjective.english: adjective for adjective in lexicon.adjectives}
    names = {name.source: name for name in lexicon.all_names()}
    relative = Clause(verbs["watch"], "present", False, False, subject=Phrase(nouns["king"]))
    clause = Clause(
        verb=verbs["give"],
        tense="future",
        negated=True,
        plural=False,
        subject=Phrase(
            nouns["baker"], False, "the", (adjectives["old"], adjectives["sad"]), relative
        ),
        object=Phrase(nouns["apple"], True, "two", (adjectives["red"],)),
        recipient=Phrase((names["Duramor"],)),
        preposition="in",
        adjunct=Phrase((names["Cirinford"],)),
    )
    documentation = str(language.__doc__).splitlines()
    start = documentation.index("    " + " ".join(english(clause)))
    glossed = [line[:31].strip() for line in documentation[start + 2 :]]
    assert " ".join(glossed).strip() == " ".join(yy(clause))


@pytest.fixture(scope="module")
def clauses() -> list[Clause]:
    lexicon, random = Lexicon(1), Random(7)
    speaker = Speaker(lexicon, random)
    return [speaker.sentence(lambda kind: random.choice(lexicon.names[kind])) for _ in range(500)]


def test_sentences_have_a_permitted_length(clauses: list[Clause]) -> None:
    assert {len(english(clause)) for clause in clauses} <= set(WORDS)


def test_lexicon_lists_every_word_of_drawn_sentences(clauses: list[Clause]) -> None:
    lexicon = Lexicon(1)
    assert {word for clause in clauses for word in english(clause)} <= set(lexicon.source_words())
    assert {word for clause in clauses for word in yy(clause)} <= set(lexicon.target_words())


def test_different_sentences_have_different_translations(clauses: list[Clause]) -> None:
    pairs = {both(clause) for clause in clauses}
    assert len({target for _, target in pairs}) == len(pairs)


def test_names_in_finds_the_names_in_both_languages(clauses: list[Clause]) -> None:
    for clause in clauses:
        capitalised = sorted(word for word in yy(clause) if word[0].isupper())
        assert capitalised == sorted(name.target for name in names_in(clause))
