"""Explains a translation: what the network and the memory contribute to each word.

The translation is decoded again, with itself as the target. Each token's probability is then
(1 - g) p(token) of the softmax, which may include a taught term, plus g w_i of each neighbour i of
the memory that has the token, where g is the gate and w the neighbours' weights. A word's parts are
the means of those of its tokens, each as a share of the token's probability, so network, terms and
neighbours add up to 1.
"""

from dataclasses import replace
from typing import Protocol

from fairseq_plugins.teaching.network import Reading
from fairseq_plugins.teaching.translation import Evidence, Word


class Describes(Protocol):
    """Describes remembered entries, without their similarity and weight."""

    def describe(self, slot: int) -> Evidence:
        """Return what a slot of the memory remembers."""
        ...

    def describe_term(self, lesson_id: int, word: str) -> Evidence:
        """Return the lesson that taught a word."""
        ...


def explained(
    word: Word,
    tokens: list[int],
    reading: Reading,
    known: Describes,
) -> Word:
    """Add the evidence to a word.

    Args:
        word: of a translation.
        tokens: its positions in the target.
        reading: of the target.
        known: describes slots and terms.
    """
    if not tokens:
        return word
    probability = reading.probability[tokens].prod().item()
    if not reading.mixes:
        return replace(word, probability=probability, evidence=_nearest(tokens, reading, known))
    shares = reading.parts[tokens] / reading.probability[tokens].unsqueeze(1)  # [tokens, k]
    weights = shares / len(tokens)
    of_terms = reading.term[tokens] / reading.probability[tokens] / len(tokens)
    found: dict[tuple[int | None, str, str], Evidence] = {}
    for token, row in zip(tokens, weights.tolist(), strict=True):
        for place, weight in enumerate(row):
            if weight == 0:
                continue
            one = known.describe(int(reading.slots[token, place]))
            key = one.lesson, one.origin, one.word
            similarity = reading.similarities[token, place].item()
            before = found.get(key)
            found[key] = replace(
                one,
                similarity=max(similarity, before.similarity if before else similarity),
                weight=weight + (before.weight if before else 0.0),
            )
    for token, weight in zip(tokens, of_terms.tolist(), strict=True):
        if weight > 0:
            one = known.describe_term(int(reading.term_lesson[token]), word.text)
            key = one.lesson, one.origin, one.word
            before = found.get(key)
            found[key] = replace(one, weight=weight + (before.weight if before else 0.0))
    evidence = sorted(found.values(), key=lambda one: -one.weight)
    return replace(
        word,
        probability=probability,
        memory_share=min(1.0, (weights.sum() + of_terms.sum()).item()),
        evidence=evidence,
    )


def _nearest(tokens: list[int], reading: Reading, known: Describes) -> list[Evidence]:
    """Return the best neighbour of each token, for models without shares."""
    found = []
    for token in tokens:
        slot = int(reading.slots[token, 0])
        if slot >= 0:
            similarity = reading.similarities[token, 0].item()
            found.append(replace(known.describe(slot), similarity=similarity, weight=0.0))
    return sorted(found, key=lambda one: -one.similarity)
