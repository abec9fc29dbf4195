"""Brings taught terms into a translation: begun under attention, completed as they were taught.

At every step the decoder attends to some place in the source. When it attends to the cue of a
term, the first piece of that term gets a share g of the probability; once a term is begun, its next
piece does. So a hypothesis that attends to a taught word writes it completely, and as often as it
occurs in the source:

    p(y) = (1 - g) p_model(y) + g [y = next piece of the term]

    g = BEGIN r (1 - w)  to begin, if a(cue) >= ATTENTION max_j a(j), and it is not yet written
    g = CONTINUE         to continue after two or more pieces; CONTINUE sqrt(r) after one

where a(cue) is the attention's weight on the pieces of the cue, and r the trust in the term, see
:class:`~fairseq_plugins.memory.terms.TermMemory`. The model often attends to a word before it is
due, while it writes an article or a preposition. So w is the probability that it gives to frequent
words. After the last piece the word ends: pieces that would continue it lose END nats.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from fairseq_plugins.memory.hits import NOTHING
from fairseq_plugins.memory.terms import TermMemory, Trusted, WordCounts
from fairseq_plugins.modules.words import Words

# Chosen on five sets of lessons (docs/memory.md has the table); the same for all models.
BEGIN = 0.8
CONTINUE = 0.9
ATTENTION = 0.5
LEAST_PEAK = 0.2
"""If the peak of the attention is lower than this, it counts as attending nowhere."""
FREQUENT = 0.005
"""Share of the training text above which a word may be an article or a preposition."""
END = 8.0
SURE = 0.3
"""The end is enforced for terms with more trust than this."""
SMALLEST = 1e-9


@dataclass(frozen=True)
class CalledTerms:
    """What is known of the words in the sources of a batch: at most E terms, and L lessons, each.

    Attributes:
        cue: [batch, E, source] float, 1 at the pieces of the cue.
        pieces: [batch, E, M] int64, -1 after the last piece, and in empty rows.
        times: [batch, E] int64, occurrences of the cue in the source.
        trust: [batch, E] float, r.
        origins: [batch, E] int64, of the lessons.
        lessons: [batch, L] int64, numbers of the lessons that share most of their rare words with
            the source; -1 after the last one.
        frequent: [vocabulary] bool, words that are written before a term is due.
    """

    cue: Tensor
    pieces: Tensor
    times: Tensor
    trust: Tensor
    origins: Tensor
    lessons: Tensor
    frequent: Tensor

    def select(self, order: Tensor) -> "CalledTerms":
        """Select sentences, for beams."""
        rows = ("cue", "pieces", "times", "trust", "origins", "lessons")
        return replace(self, **{name: getattr(self, name)[order] for name in rows})


@dataclass(frozen=True)
class TermReading:
    """What terms contribute at every position of [batch, time].

    Attributes:
        gate: [batch, time] float, g of the most certain term, with w = 0.
        begins: [batch, time] bool, whether it would begin there.
        piece: [batch, time] int64, its next piece; arbitrary where g = 0.
        ends: [batch, time] bool, whether a term has just been completed.
        origin: [batch, time] int64, the lesson of the term; arbitrary where g = 0.
        goes_on: [vocabulary] bool, pieces that would continue the word.
        frequent: [vocabulary] bool, words that are written before a term is due.
    """

    gate: Tensor
    begins: Tensor
    piece: Tensor
    ends: Tensor
    origin: Tensor
    goes_on: Tensor
    frequent: Tensor

    def gates(self, log_probs: Tensor) -> Tensor:
        """Return g [batch, time], given log-probabilities [batch, time, vocabulary] of the rest."""
        due = self.begins & (self.gate > 0)
        if not bool(due.any()):
            return self.gate
        waits = log_probs[due][:, self.frequent].float().exp().sum(-1)
        return self.gate.masked_scatter(due, self.gate[due] * (1 - waits).clamp(min=0.0))

    def mix(self, log_probs: Tensor) -> Tensor:
        """Mix the terms into log-probabilities [batch, time, vocabulary], in float32."""
        if not bool((self.ends | (self.gate > 0)).any()):  # at most steps
            return log_probs
        gate, piece = self.gates(log_probs).unsqueeze(-1), self.piece.unsqueeze(-1)
        if bool(self.ends.any()):
            penalty = END * self.goes_on.to(log_probs.dtype)
            ended = torch.log_softmax(log_probs - penalty, dim=-1)
            log_probs = torch.where(self.ends.unsqueeze(-1), ended, log_probs)
        mixed = log_probs + torch.log1p(-gate)
        asked = torch.logaddexp(mixed.gather(-1, piece), gate.clamp(min=SMALLEST).log())
        asked = torch.where(gate > 0, asked, mixed.gather(-1, piece))
        return mixed.scatter(-1, piece, asked)


class TermReader(nn.Module):
    """Finds the terms that a source triggers, and decides when each is due.

    Args:
        source: words of the source vocabulary.
        target: words of the target vocabulary.

    Attributes:
        asks: whether sources call terms.
    """

    after_query = ("memory.", "source_counts.", "target_counts.")  # no query depends on these

    def __init__(self, source: Words, target: Words) -> None:
        super().__init__()
        self.source, self.target = source, target
        self.memory = TermMemory()
        self.source_counts, self.target_counts = WordCounts(), WordCounts()
        self.asks = True

    @torch.no_grad()
    def call(self, tokens: Tensor) -> CalledTerms | None:
        """Look up the words of sources [batch, source]; None if there is nothing about them."""
        if not self.asks or not len(self.memory):
            return None
        numbers, begins = self.source.numbers(tokens)
        called: list[dict[tuple[int, tuple[int, ...]], Trusted]] = []
        related: list[list[int]] = []
        for row, begin in zip(numbers.tolist(), begins.tolist(), strict=True):
            cues = dict.fromkeys(cue for cue, first in zip(row, begin, strict=True) if first)
            called.append({
                (cue, term.pieces): term
                for cue in cues for term in self.memory.called_by(cue)
            })  # fmt: skip
            related.append(self.memory.related_to(cues))
        if not any(called) and not any(related):
            return None
        most = max(1, *map(len, called))
        width = max((len(pieces) for terms in called for _, pieces in terms), default=1)
        cue_mask = torch.zeros(len(tokens), most, tokens.shape[1], device=tokens.device)
        pieces = tokens.new_full((len(tokens), most, width), NOTHING)
        times = tokens.new_zeros(len(tokens), most)
        trust = torch.zeros(len(tokens), most, device=tokens.device)
        origins = tokens.new_full((len(tokens), most), NOTHING)
        for row, terms in enumerate(called):
            for column, ((cue, spelled), term) in enumerate(terms.items()):
                here = numbers[row] == cue
                cue_mask[row, column] = here
                pieces[row, column, : len(spelled)] = tokens.new_tensor(spelled)
                times[row, column] = (here & begins[row]).sum()
                trust[row, column], origins[row, column] = term.trust, term.origin
        lessons = torch.nn.utils.rnn.pad_sequence(
            [tokens.new_tensor(row) for row in related], batch_first=True, padding_value=NOTHING
        )
        frequent = self.frequent_words()
        return CalledTerms(cue_mask, pieces, times, trust, origins, lessons, frequent)

    def frequent_words(self) -> Tensor:
        """Return which pieces [vocabulary] are words like articles and prepositions."""
        words, counts = self.target, self.target_counts
        least = max(1.0, FREQUENT * counts.total())
        return words.is_word & ~words.joins_left & (counts.of(words.number) >= least)

    @torch.no_grad()
    def read(self, called: CalledTerms, prefix: Tensor, attention: Tensor) -> TermReading:
        """Decide which terms are due.

        Args:
            called: the terms that the source triggers.
            prefix: [batch, length], the tokens so far, from the beginning; its last T positions are
                those in question.
            attention: [batch, T, source].
        """
        time = attention.shape[1]
        said, done = progress(prefix, called.pieces)  # [batch, E, length]
        said, done = said[..., -time:], done[..., -time:]
        length = (called.pieces != NOTHING).sum(-1, keepdim=True)  # [batch, E, 1]
        looks = torch.einsum("bts,bes->bet", attention.float(), called.cue)
        peak = attention.float().amax(-1).clamp(min=LEAST_PEAK).unsqueeze(1)  # [batch, 1, time]
        trust = called.trust.unsqueeze(-1).expand_as(looks)
        begin = (looks >= ATTENTION * peak) & (said == 0) & (done < called.times.unsqueeze(-1))
        begin &= ~self.target.joins_right[prefix[:, None, -time:]]  # not inside a word
        onward = CONTINUE * torch.where(said > 1, torch.ones_like(trust), trust.sqrt())
        gate = torch.where(begin, BEGIN * trust, torch.where(said > 0, onward, 0.0))
        complete = (said == length) & (length > 0)
        gate = gate.masked_fill(complete | (length == 0), 0.0)
        gate, chosen = gate.max(dim=1)  # [batch, time]; the newest of equals
        begins = begin.gather(1, chosen.unsqueeze(1)).squeeze(1)
        following = called.pieces.gather(2, said.clamp(max=called.pieces.shape[2] - 1))
        piece = following.gather(1, chosen.unsqueeze(1)).squeeze(1).clamp(min=0)
        ends = (complete & (trust > SURE)).any(dim=1)
        goes_on = self.target.joins_left & self.target.is_word
        origin = called.origins.gather(1, chosen)
        return TermReading(gate, begins, piece, ends, origin, goes_on, called.frequent)


def term_reader(source: Any, target: Any) -> TermReader:
    """Create the reader of a translator without terms.

    Args:
        source: dictionary of fairseq.
        target: the same, for the other language; if equal, its words are shared.
    """
    words = Words(target.symbols, target.nspecial)
    own = words if source == target else Words(source.symbols, source.nspecial)
    return TermReader(own, words)


def progress(prefix: Tensor, pieces: Tensor) -> tuple[Tensor, Tensor]:
    """Follow terms through a prefix.

    Args:
        prefix: [batch, length].
        pieces: [batch, E, M], -1 after the last one.

    Returns:
        [batch, E, length] int64, the number of a term's pieces that end here, and how often it was
            completed up to here.
    """
    batch, terms, most = pieces.shape
    size = (pieces != NOTHING).sum(-1, keepdim=True)  # [batch, E, 1]
    said = pieces.new_zeros(batch, terms, prefix.shape[1])
    full = torch.zeros_like(said)
    run = torch.ones_like(said, dtype=torch.bool)  # whether the first m pieces end here
    for m in range(1, most + 1):
        before = torch.nn.functional.pad(run[..., :-1], (1, 0), value=m == 1)
        run = before & (prefix.unsqueeze(1) == pieces[..., m - 1 : m])
        said = torch.where(run, m, said)
        full += run & (size == m)
    return said, full.cumsum(-1)
