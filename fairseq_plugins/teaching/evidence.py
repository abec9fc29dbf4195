"""Why this word: what network and memory said of a finished translation, word by word.

The translation is decoded once more, with itself as the target. Each token's probability is then
(1 - g) p(token) of the softmax, and g w_i of each neighbour i of the memory that holds the token,
where g is the gate and w the neighbours' weights. A word's parts are the means of those of its
tokens, each as a share of the token's probability: so network and neighbours add up to 1.
"""

from collections.abc import Callable
from dataclasses import replace

from fairseq_plugins.teaching.network import Reading
from fairseq_plugins.teaching.translation import Evidence, Word

# From a slot to what is known of it; similarity and weight are still to be filled in.
Describe = Callable[[int], Evidence]


def explained(word: Word, tokens: list[int], reading: Reading, describe: Describe) -> Word:
    """Add to a word what speaks for it.

    Args:
        word: of a translation.
        tokens: its places in the target that was read.
        reading: of that target.
        describe: what a slot of the memory remembers.
    """
    if not tokens:
        return word
    probability = reading.probability[tokens].prod().item()
    if not reading.mixes:
        return replace(word, probability=probability, evidence=_nearest(tokens, reading, describe))
    shares = reading.parts[tokens] / reading.probability[tokens].unsqueeze(1)  # [tokens, k]
    weights = shares / len(tokens)
    found: dict[tuple[int | None, str, str], Evidence] = {}
    for token, row in zip(tokens, weights.tolist(), strict=True):
        for place, weight in enumerate(row):
            if weight == 0:
                continue
            known = describe(int(reading.slots[token, place]))
            key = known.lesson, known.origin, known.word
            similarity = reading.similarities[token, place].item()
            before = found.get(key)
            found[key] = replace(
                known,
                similarity=max(similarity, before.similarity if before else similarity),
                weight=weight + (before.weight if before else 0.0),
            )
    evidence = sorted(found.values(), key=lambda one: -one.weight)
    return replace(
        word,
        probability=probability,
        memory_share=min(1.0, weights.sum().item()),
        evidence=evidence,
    )


def _nearest(tokens: list[int], reading: Reading, describe: Describe) -> list[Evidence]:
    """The best neighbour of each token, where answers are embedded and have no share."""
    found = []
    for token in tokens:
        slot = int(reading.slots[token, 0])
        if slot >= 0:
            similarity = reading.similarities[token, 0].item()
            found.append(replace(describe(slot), similarity=similarity, weight=0.0))
    return sorted(found, key=lambda one: -one.similarity)
