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

Span = tuple[int, int]  # first and end position of a word


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
    cues = torch.tensor(reader.source.numbers_of(source, words), device=source.device)
    counts = reader.source_counts.of(cues)
    total = reader.source_counts.total()
    weight = torch.log((total + 1) / (counts + 0.5)).clamp(min=LEAST_WEIGHT)  # [words]
    new = _new_words(reader, target)
    written = [reader.target.text(target[slice(*span)].tolist()) for span in new]
    spelled = [reader.source.text(source[slice(*span)].tolist()) for span in words]
    looked = _looked(attention.float(), new, words)
    scores = (looked + FLOOR) * weight * (1 + LIKENESS * _alike(written, spelled).to(looked))
    found: list[Term] = []
    for (begin, end), place in zip(new, choose_cues(scores), strict=True):
        pieces = reader.target.at_a_word_start(target[begin:end].tolist())
        found.append(Term(int(cues[place]), tuple(pieces), int(counts[place])))
    having = {term.cue for term in found}
    rest = dict(zip(cues.tolist(), counts.tolist(), strict=True))
    found += [
        Term(cue, (), count) for cue, count in rest.items() if cue not in having and count < RARE
    ]
    return found


def _looked(attention: Tensor, new: Sequence[Span], words: Sequence[Span]) -> Tensor:
    """Return the attention [new, words] on each source word while each new word was written."""
    target, source = attention.shape
    written = attention.new_zeros((len(new), target))
    for number, (begin, end) in enumerate(new):
        written[number, begin:end] = 1 / (end - begin)
    belongs = attention.new_zeros((source, len(words)))
    for number, (begin, end) in enumerate(words):
        belongs[begin:end, number] = 1
    return written @ attention @ belongs


def _alike(written: Sequence[str], spelled: Sequence[str]) -> Tensor:
    """Return the likeness [new, words] of each new word and each source word."""
    ours = [_trigrams(word) for word in spelled]
    theirs = [_trigrams(word) for word in written]
    rows = [[_overlap(one, other) for one in ours] for other in theirs]
    return torch.tensor(rows).view(len(theirs), len(ours))


def choose_cues(scores: Tensor) -> list[int]:
    """Choose a source word for each new word, the greatest score first.

    Args:
        scores: [new, words], of all source words, not negative, for each new word.

    Returns:
        The place of each source word.
    """
    chosen, left = [0] * len(scores), scores.clone()
    free = torch.ones_like(scores[0]) if len(scores) else scores
    for _ in chosen:
        word, place = divmod(int((left * free).argmax()), scores.shape[1])
        chosen[word], left[word], free[place] = place, -1.0, TAKEN
    return chosen


def _new_words(reader: TermReader, target: Tensor) -> list[Span]:
    """Return the first and the end position of the words that hardly ever occur in training."""
    spans = [
        (begin, end) for begin, end in reader.target.spans(target)
        if bool(reader.target.has_letter[target[begin:end]].any())
    ]  # fmt: skip
    if not spans:
        return []
    numbers = torch.tensor(reader.target.numbers_of(target, spans), device=target.device)
    counts = reader.target_counts.of(numbers)
    return [span for span, count in zip(spans, counts.tolist(), strict=True) if count <= NEW]


def likeness(one: str, other: str) -> float:
    """Return the share of trigrams that two words have in common, from 0 to 1."""
    return _overlap(_trigrams(one), _trigrams(other))


def _overlap(first: set[str], second: set[str]) -> float:
    common = len(first & second)
    return common / max(1, len(first) + len(second) - common)


def _trigrams(word: str) -> set[str]:
    padded = f"<{word}>"
    return {padded[i : i + 3] for i in range(len(padded) - 2)}
