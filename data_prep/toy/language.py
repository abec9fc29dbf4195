"""The grammar of the toy corpus: draws sentences and says them in English and in "Yy".

Yy is invented. It is regular, and unlike English in the ways that make translation hard:

    order       subject, recipient, place or company, object, negation, verb
    nouns       two genders, hard and soft, which must be learned by heart; the ending shows
                gender, number and case (nominative, accusative, oblique)
    articles    before the noun, adjectives after it, in the mirror of the English order ("big
                red dog" is "dog red big"); all of them take the noun's ending
    verbs       end the clause; vowel and n of the ending show tense and a plural subject; `ne`
                before it negates
    oblique     marks a recipient by itself, place and company with a postposition
    relatives   a pronoun with gender and number of its noun, and the case of its own part in the
                relative clause, which ends, like any other, with its verb
    names       never change; a particle before them shows the case. The Yy form of a name cannot
                be derived from the English one: it must have been seen to be known.

An example, with the lexicon of seed 1:

    the old sad baker that the king watches will not give two red apples to Duramor in Cirinford

    la duluta palona losika     the baker sad old (soft, singular, nominative)
    kam la ruguva kodadat       whom (accusative) the king watches (present)
    sis Kukasao                 to Duramor (oblique)
    sis Mususa ra               in Cirinford (oblique, postposition)
    bi biginoim nasoroim        two apples red (hard, plural, accusative)
    ne vanevut                  not will-give (future, singular)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from random import Random
from typing import TypeVar

from data_prep.toy.lexicon import (
    AND,
    ARTICLES,
    CASES,
    NAME_PARTICLE,
    NOT,
    NUMERALS,
    POSTPOSITIONS,
    RELATIVE_STEM,
    VOWELS,
    Adjective,
    Lexicon,
    Name,
    Noun,
    Verb,
    ending,
)

Item = TypeVar("Item")

WORDS = range(4, 16)  # of an English sentence, without the full stop
ORDINARY_FLATTENING = 5.0  # ordinary words are drawn with weight 1 / (rank + this)
SINGULAR_DETERMINERS = {"the": 5, "a": 4, "this": 1}  # relative frequencies
PLURAL_DETERMINERS = {"the": 4, "some": 2, "these": 1, "two": 1, "three": 1, "many": 1}
PLACE_PREPOSITIONS = {"in": 4, "near": 2, "behind": 1, "beside": 1}
COMPANY_PREPOSITIONS = {"with": 3, "without": 1, "for": 2}


@dataclass(frozen=True)
class Phrase:
    """A noun phrase: a noun with what belongs to it, or one name, or two."""

    head: Noun | tuple[Name, ...]
    plural: bool = False
    determiner: str = "the"
    adjectives: tuple[Adjective, ...] = ()
    relative: "Clause | None" = None


@dataclass(frozen=True)
class Clause:
    """A sentence, or a relative clause, which lacks what its noun stands for.

    `plural` is the number of the subject.
    """

    verb: Verb
    tense: str
    negated: bool
    plural: bool
    subject: Phrase | None = None
    object: Phrase | None = None
    recipient: Phrase | None = None
    preposition: str = ""
    adjunct: Phrase | None = None


def names_in(clause: Clause) -> list[Name]:
    """Return the names of a sentence."""
    phrases = (clause.subject, clause.object, clause.recipient, clause.adjunct)
    found: list[Name] = []
    for phrase in phrases:
        if phrase is not None and isinstance(phrase.head, tuple):
            found += phrase.head
        elif phrase is not None and phrase.relative is not None:
            found += names_in(phrase.relative)
    return found


def english(clause: Clause) -> list[str]:
    """Say a clause in English."""
    words = english_phrase(clause.subject) + english_verb(clause) + english_phrase(clause.object)
    if clause.recipient:
        words += ["to", *english_phrase(clause.recipient)]
    if clause.adjunct:
        words += [clause.preposition, *english_phrase(clause.adjunct)]
    return words


def english_verb(clause: Clause) -> list[str]:
    """Say a verb with its tense and negation in English."""
    verb, negation = clause.verb, ["not"] if clause.negated else []
    if clause.tense == "future":
        return ["will", *negation, verb.base]
    if clause.tense == "past":
        return ["did", "not", verb.base] if negation else [verb.past]
    if negation:
        return ["do" if clause.plural else "does", "not", verb.base]
    return [verb.base if clause.plural else verb.third]


def english_phrase(phrase: Phrase | None) -> list[str]:
    """Say a noun phrase in English; None, the gap of a relative clause, is silent."""
    if phrase is None:
        return []
    if isinstance(phrase.head, tuple):
        return " and ".join(name.source for name in phrase.head).split()
    noun = phrase.head.plural if phrase.plural else phrase.head.singular
    words = [*(adjective.english for adjective in phrase.adjectives), noun]
    article = "an" if phrase.determiner == "a" and words[0][0] in VOWELS else phrase.determiner
    words.insert(0, article)
    if phrase.relative:
        words += ["that" if phrase.relative.subject else "who", *english(phrase.relative)]
    return words


def yy(clause: Clause) -> list[str]:
    """Say a clause in Yy."""
    words = yy_phrase(clause.subject, "nominative") + yy_phrase(clause.recipient, "oblique")
    if clause.adjunct:
        words += [*yy_phrase(clause.adjunct, "oblique"), POSTPOSITIONS[clause.preposition]]
    words += yy_phrase(clause.object, "accusative")
    return [
        *words,
        *([NOT] if clause.negated else []),
        clause.verb.form(clause.tense, clause.plural),
    ]


def yy_phrase(phrase: Phrase | None, case: str) -> list[str]:
    """Say a noun phrase in Yy; None, the gap of a relative clause, is silent."""
    if phrase is None:
        return []
    if isinstance(phrase.head, tuple):
        particle = NAME_PARTICLE + CASES[case]
        return f" {AND} ".join(f"{particle} {name.target}" for name in phrase.head).split()
    noun = phrase.head
    end = ending(noun.soft, phrase.plural, case)
    article = ARTICLES.get(phrase.determiner)
    words = [NUMERALS[phrase.determiner] if article is None else article + end, noun.stem + end]
    words += [adjective.stem + end for adjective in reversed(phrase.adjectives)]
    if phrase.relative:
        own_case = "accusative" if phrase.relative.subject else "nominative"
        words += [RELATIVE_STEM + ending(noun.soft, phrase.plural, own_case), *yy(phrase.relative)]
    return words


class Speaker:
    """Draws sentences.

    Args:
        lexicon: The words.
        random: Source of all randomness.
    """

    def __init__(self, lexicon: Lexicon, random: Random) -> None:
        self.lexicon = lexicon
        self.random = random

    def sentence(self, draw_name: Callable[[str], Name]) -> Clause:
        """Draw a sentence of a permitted length.

        Args:
            draw_name: Gives a name of a kind ("person", "place" or "product").
        """
        while True:
            clause = self._clause(draw_name)
            if len(english(clause)) in WORDS:
                return clause

    def _chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def _word(self, words: Sequence[Item]) -> Item:
        weights = list(accumulate(1 / (rank + ORDINARY_FLATTENING) for rank in range(len(words))))
        return self.random.choices(words, cum_weights=weights)[0]

    def _weighted(self, weights: dict[str, int]) -> str:
        return self.random.choices(list(weights), list(weights.values()))[0]

    def _clause(self, draw_name: Callable[[str], Name]) -> Clause:
        frame = self._weighted({"transitive": 11, "intransitive": 5, "ditransitive": 4})
        subject = self._agent(draw_name, pair=True)
        what = recipient = adjunct = None
        preposition = ""
        if frame == "transitive":
            what = self._agent(draw_name) if self._chance(0.4) else self._thing(draw_name)
        if frame == "ditransitive":
            what, recipient = self._thing(draw_name), self._agent(draw_name)
        if self._chance(0.45):
            if self._chance(0.75):
                preposition = self._weighted(PLACE_PREPOSITIONS)
                adjunct = self._place(draw_name)
            else:
                preposition = self._weighted(COMPANY_PREPOSITIONS)
                adjunct = self._agent(draw_name, relative=False)
        return Clause(
            self._word(self.lexicon.verbs[frame]),
            self._weighted({"present": 5, "past": 3, "future": 2}),
            self._chance(0.15),
            subject.plural,
            subject,
            what,
            recipient,
            preposition,
            adjunct,
        )

    def _agent(
        self, draw_name: Callable[[str], Name], pair: bool = False, relative: bool = True
    ) -> Phrase:
        """Draw who acts or receives: a person, an animal or a name, or (`pair`) two names."""
        if self._chance(0.3):
            number = 2 if pair and self._chance(0.15) else 1
            names = tuple(dict.fromkeys(draw_name("person") for _ in range(number)))
            return Phrase(names, plural=len(names) > 1)
        phrase = self._noun_phrase(self.lexicon.nouns["people"])
        if relative and self._chance(0.15):
            return replace(phrase, relative=self._relative(phrase))
        return phrase

    def _thing(self, draw_name: Callable[[str], Name]) -> Phrase:
        if self._chance(0.3):
            return Phrase((draw_name("product"),))
        return self._noun_phrase(self.lexicon.nouns["things"])

    def _place(self, draw_name: Callable[[str], Name]) -> Phrase:
        if self._chance(0.5):
            return Phrase((draw_name("place"),))
        return self._noun_phrase(self.lexicon.nouns["places"])

    def _noun_phrase(self, nouns: Sequence[Noun]) -> Phrase:
        plural = self._chance(0.3)
        determiner = self._weighted(PLURAL_DETERMINERS if plural else SINGULAR_DETERMINERS)
        count = int(self._weighted({"0": 11, "1": 7, "2": 2}))
        drawn = dict.fromkeys(self._word(self.lexicon.adjectives) for _ in range(count))
        return Phrase(self._word(nouns), plural, determiner, tuple(drawn))

    def _relative(self, head: Phrase) -> Clause:
        """Draw a relative clause: "who sleeps", "who loves a dog" or "that the king watches"."""
        tense = self._weighted({"present": 1, "past": 1})
        if self._chance(0.35):
            verb = self._word(self.lexicon.verbs["intransitive"])
            return Clause(verb, tense, self._chance(0.1), head.plural)
        verb = self._word(self.lexicon.verbs["transitive"])
        other = self._noun_phrase(self.lexicon.nouns["people"])
        if self._chance(0.5):
            return Clause(verb, tense, self._chance(0.1), other.plural, subject=other)
        return Clause(verb, tense, self._chance(0.1), head.plural, object=other)
