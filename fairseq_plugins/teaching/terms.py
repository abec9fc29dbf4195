"""What a lesson teaches about single words: its new target words, and their source words.

A word is new if it hardly ever occurs in the training text. Its source word is the one that the
attention was on while the word was written, preferably a rare word and one with similar spelling,
as for names:

    score(s) = (a(s) + FLOOR) log(N / (n_s + 1/2)) (1 + LIKENESS likeness(s, w))

with the attention a(s) on the source word, averaged over the pieces of the target word; its count
n_s among the N words of the training text; and the share of trigrams that s and w have in common.
Two new words of a lesson hardly ever translate the same source word: once the most certain word has
chosen, its source word counts only TAKEN times as much for the others.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from fairseq_plugins.memory.terms import Term
from fairseq_plugins.modules.term_reader import TermReader

NEW = 2  # most occurrences of a new word in the training text
RARE = 50  # most occurrences of a source word whose lessons are counted
LEAST_WEIGHT = 0.1
FLOOR = 0.02
LIKENESS = 2.0
TAKEN = 0.25


def terms_of(reader: TermReader, source: Tensor, target: Tensor, attention: Tensor) -> list[Term]:
    """Find the new words of a lesson, and the rare source words that have none.

    Args:
        reader: of the model; its counts determine what is new and what is rare.
        source: [source] tokens, without padding.
        target: [target] tokens, without padding.
        attention: [target, source] while each target token was decoded.

    Returns:
        A term for each new word that contains a letter, in order, then those without pieces. There
            are none if the source has no words.
    """
    words = reader.source.spans(source)
    if not words:
        return []
    numbers, _ = reader.source.numbers(source.unsqueeze(0))
    cues = torch.stack([numbers[0, begin] for begin, _ in words])
    counts = reader.source_counts.of(cues)
    total = reader.source_counts.total()
    weight = torch.log((total + 1) / (counts + 0.5)).clamp(min=LEAST_WEIGHT)
    spelled = [reader.source.text(source[slice(*span)].tolist()) for span in words]

    def score(begin: int, end: int) -> Tensor:
        looked = attention[begin:end].float().mean(0)  # [source]
        on_word = torch.stack([looked[slice(*span)].sum() for span in words])
        text = reader.target.text(target[begin:end].tolist())
        alike = on_word.new_tensor([likeness(word, text) for word in spelled])
        return (on_word + FLOOR) * weight * (1 + LIKENESS * alike)

    found: list[Term] = []
    new = _new_words(reader, target)
    for (begin, end), place in zip(new, choose_cues([score(*span) for span in new]), strict=True):
        pieces = reader.target.at_a_word_start(target[begin:end].tolist())
        found.append(Term(int(cues[place]), tuple(pieces), int(counts[place])))
    having = {term.cue for term in found}
    rest = dict(zip(cues.tolist(), counts.tolist(), strict=True))
    found += [
        Term(cue, (), count) for cue, count in rest.items() if cue not in having and count < RARE
    ]
    return found


def choose_cues(scores: Sequence[Tensor]) -> list[int]:
    """Choose a source word for each new word, the greatest score first.

    Args:
        scores: of all source words, not negative, for each new word.

    Returns:
        The place of each source word.
    """
    chosen = [0] * len(scores)
    left = dict(enumerate(scores))
    free = torch.ones_like(scores[0]) if left else torch.ones(0)
    while left:
        word = max(left, key=lambda one: float((left[one] * free).max()))
        chosen[word] = int((left.pop(word) * free).argmax())
        free[chosen[word]] = TAKEN
    return chosen


def _new_words(reader: TermReader, target: Tensor) -> list[tuple[int, int]]:
    """Return the first and the end position of the words that hardly ever occur in training."""
    numbers, _ = reader.target.numbers(target.unsqueeze(0))
    spans = [
        (begin, end) for begin, end in reader.target.spans(target)
        if bool(reader.target.has_letter[target[begin:end]].any())
    ]  # fmt: skip
    if not spans:
        return []
    counts = reader.target_counts.of(torch.stack([numbers[0, begin] for begin, _ in spans]))
    return [span for span, count in zip(spans, counts.tolist(), strict=True) if count <= NEW]


def likeness(one: str, other: str) -> float:
    """Return the share of trigrams that two words have in common, from 0 to 1."""
    first, second = _trigrams(one), _trigrams(other)
    return len(first & second) / max(1, len(first | second))


def _trigrams(word: str) -> set[str]:
    padded = f"<{word}>"
    return {padded[i : i + 3] for i in range(len(padded) - 2)}
