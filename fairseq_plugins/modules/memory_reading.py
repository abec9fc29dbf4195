"""What was read from a memory, and how it is mixed in: slots, then terms, then lessons."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fairseq_plugins.memory import KeyValueMemory, MemoryHits
from fairseq_plugins.modules.lesson_shares import LessonShares
from fairseq_plugins.modules.mixing import mix_neighbours, mix_target
from fairseq_plugins.modules.term_reader import TermReading


@dataclass(frozen=True)
class MemoryReading:
    """The result of reading a memory at N positions.

    Attributes:
        memory: that was queried.
        query: [N, key_dim], the queries; the criterion learns from them and writes them.
        hits: the answers; None if there was no search.
        positions: [batch, time] bool with N times True, where the memory was queried.
        log_weights: [N, k], log w, -inf for missing neighbours and for lessons; None unless
            interpolating.
        gate: [N], logit of g; None unless interpolating.
        state: [N, dim], the state from which the gate is computed; None unless interpolating.
        lessons: how far they are trusted; None if none were taught, or unless interpolating.
        complete: asks the memory once the log-probabilities of the softmax [batch, time,
            vocabulary] are known, and returns the reading; None if it is complete.
    """

    memory: KeyValueMemory
    query: Tensor
    hits: MemoryHits | None
    positions: Tensor
    log_weights: Tensor | None = None
    gate: Tensor | None = None
    state: Tensor | None = None
    lessons: LessonShares | None = None
    complete: Callable[[Tensor], "MemoryReading"] | None = None

    def mix_target(self, log_prob: Tensor, target: Tensor) -> Tensor:
        """Return log p(target) of the mixture, given the softmax's own log p(target) [N]."""
        if self.hits is None or self.gate is None or self.log_weights is None:
            return log_prob
        log_prob = mix_target(log_prob, target, self.hits.values, self.log_weights, self.gate)
        if self.lessons is None:
            return log_prob
        return self.lessons.mix_target(log_prob, target, self.hits.values)

    def mix(self, log_probs: Tensor) -> Tensor:
        """Return the log-probabilities [N, vocabulary] of the mixture without lessons.

        Without gradients, ``log_probs`` is overwritten with the result.

        Args:
            log_probs: of the softmax.
        """
        if self.hits is None or self.gate is None or self.log_weights is None:
            return log_probs
        return mix_neighbours(log_probs, self.hits.values, self.log_weights, self.gate)

    def mix_lessons(self, log_probs: Tensor) -> Tensor:
        """Return the log-probabilities [N, vocabulary] of the mixture with lessons."""
        if self.hits is None or self.lessons is None:
            return log_probs
        return self.lessons.mix(log_probs, self.hits.values)

    def at_positions(self, mix: Callable[[Tensor], Tensor], log_probs: Tensor) -> Tensor:
        """Mix into log-probabilities [batch, time, vocabulary], where the memory was queried.

        Without gradients, ``log_probs`` is overwritten with the result.

        Args:
            mix: :meth:`mix` or :meth:`mix_lessons`.
            log_probs: to mix into.

        Raises:
            ValueError: if they are not of whole sentences.
        """
        if self.gate is None:
            return log_probs
        if self.positions.shape != log_probs.shape[:2]:
            raise ValueError(
                "a memory that interpolates needs whole sentences: leave out --softmax-batch"
            )
        if bool(self.positions.all()):
            return mix(log_probs.flatten(0, 1)).view_as(log_probs)
        put = log_probs.index_put if torch.is_grad_enabled() else log_probs.index_put_
        return put((self.positions,), mix(log_probs[self.positions]))


def mix_memory(log_probs: Tensor, extra: dict) -> Tensor:
    """Mix what a model remembers into log-probabilities [batch, time, vocabulary].

    First its slots, then the terms that it was taught, which are more certain, and at last whole
    lessons, which are certain.

    Args:
        log_probs: of the softmax.
        extra: second part of the model's output; without readings, nothing is mixed in.
    """
    reading: MemoryReading | None = extra.get("memory")
    terms: TermReading | None = extra.get("terms")
    if reading is not None and reading.complete is not None:
        reading = reading.complete(log_probs)
    if reading is not None:
        log_probs = reading.at_positions(reading.mix, log_probs)
    if terms is not None:
        log_probs = terms.mix(log_probs)
    if reading is not None and reading.lessons is not None:
        log_probs = reading.at_positions(reading.mix_lessons, log_probs)
    return log_probs
