"""Brings the answers of a memory into a model's output.

There are two ways, alone or together (``MemoryReader(mode=...)``):

- *embed* (Kaiser et al. 2017, section 3): the best neighbour's value is embedded, weighted by its
  confidence and added to the state from which the logits are computed.
- *interpolate*: the distribution of the k neighbours over their values is mixed into the
  softmax with a gate, p(y) = (1 - g) softmax(z)_y + g sum_{i: V_i = y} w_i, where the gate g and
  the temperature of the weights w are learned.

Taught slots are mixed in separately, after taught terms, see :mod:`.term_reader`. The learned gate
has not seen them, so they are trusted by similarity alone, see :mod:`.lesson_shares`.
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_plugins.memory import KeyValueMemory, MemoryHits
from fairseq_plugins.memory.hits import NOTHING
from fairseq_plugins.modules.lesson_shares import LIKE, RELATED_LIKE, LessonShares, lesson_shares
from fairseq_plugins.modules.memory_reading import MemoryReading
from fairseq_plugins.modules.mixing import masked_logsumexp
from fairseq_plugins.modules.term_reader import CalledTerms

MODES = ("embed", "interpolate", "both")
GATES = ("state", "neighbours", "constant")  # what the gate depends on

_SMALLEST = 1e-7
_NEVER = -1e4  # logit of a share of 0


@torch.no_grad()
def _set(parameters: Iterable[Tensor], values: Iterable[Tensor]) -> None:
    for parameter, value in zip(parameters, values, strict=True):
        parameter.copy_(value)


class MemoryReader(nn.Module):
    """Queries a memory with a projection of a state, and uses the answer.

    Args:
        memory: the memory.
        query_dim: width of the state that is projected to a query.
        state_dim: width of the state just before the logits.
        mode: ``embed``, ``interpolate`` or ``both``.
        embedding: of the values, shared with the model; its width must be ``state_dim``. Not needed
            to interpolate.
        gate: what the gate depends on: the ``state`` and the neighbours, the ``neighbours`` alone
            (adaptive kNN-MT, Zheng et al. 2021), or nothing, ``constant`` (kNN-MT, Khandelwal et
            al. 2021).
    """

    FEATURES = 3  # inputs of the gate in addition to the state, see :meth:`features`
    feeds_back = False  # whether answers affect later queries
    after_query = ("gate.", "log_temperature")  # weights that do not affect queries

    def __init__(
        self,
        memory: KeyValueMemory,
        query_dim: int,
        state_dim: int,
        mode: str,
        embedding: nn.Embedding | None = None,
        gate: str = "state",
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise ValueError(f"memory read mode {mode!r} is not one of {', '.join(MODES)}")
        if mode != "interpolate" and embedding is None:
            raise ValueError(f"memory read mode {mode!r} needs an embedding of the values")
        self.unseen = (0, state_dim, state_dim + self.FEATURES)[GATES.index(gate)]
        self.memory, self.mode = memory, mode
        self.embedding = [embedding]  # in a list: the model owns it
        self.project = nn.Linear(query_dim, memory.key_dim)
        if mode != "interpolate":
            self.combine = nn.Linear(state_dim, state_dim, bias=False)
            # Starts almost without the memory, and learns how much of it helps.
            nn.init.zeros_(self.combine.weight)
        if mode != "embed":
            self.log_temperature = nn.Parameter(torch.tensor(memory.temperature).log())
            self.gate = nn.Linear(state_dim + self.FEATURES, 1)
            nn.init.zeros_(self.gate.weight)
            nn.init.constant_(self.gate.bias, -2.0)

    def forward(
        self,
        source: Tensor,
        state: Tensor,
        positions: Tensor,
        search: bool = True,
        sure: float = 1.0,
        called: CalledTerms | None = None,
    ) -> tuple[Tensor, MemoryReading]:
        """Query the memory at every position that has a token.

        Args:
            source: [batch, time, query_dim], projected to the queries.
            state: [batch, time, state_dim].
            positions: [batch, time] bool, where to query.
            search: False to compute queries only; nothing is read.
            sure: ask only where the softmax gives its best word a lower probability than this, or
                where a lesson is near. If the answer is embedded, the memory is always asked.
            called: terms and lessons that the source is related to; None if there are none.

        Returns:
            The state including what was read, and the reading.
        """
        query = self.project(source[positions]).float()
        if not search:
            return state, MemoryReading(self.memory, query, None, positions)
        related = None if called is None else called.lessons[positions.nonzero()[:, 0]]
        if sure < 1 and self.mode == "interpolate":
            later = MemoryReading(self.memory, query, None, positions, state=state[positions])
            return state, replace(later, complete=partial(self._complete, later, sure, related))
        hits = self.memory.query_apart(query)
        log_weights = gate = seen = lessons = None
        if self.mode != "interpolate":
            read = self.answer(hits.values[:, 0], hits.confidence).to(state.dtype)
            state = state.index_put((positions,), read, accumulate=True)
        if self.mode != "embed":
            seen = state[positions]
            log_weights, gate, lessons = self.weigh(hits, seen, related)
        return state, MemoryReading(
            self.memory, query, hits, positions, log_weights, gate, seen, lessons
        )

    def _complete(
        self, reading: MemoryReading, sure: float, related: Tensor | None, log_probs: Tensor
    ) -> MemoryReading:
        """Ask only where the softmax is not sure; elsewhere, nothing is found."""
        best = log_probs.amax(dim=2)[reading.positions]
        like = torch.full_like(best, LIKE)
        if related is not None:
            like[(related != NOTHING).any(dim=1)] = RELATED_LIKE
        unsure = (best < math.log(sure)) | (self.memory.likeness_taught(reading.query) > like)
        if not bool(unsure.any()):
            return replace(reading, complete=None)
        assert reading.state is not None
        # Mixing nothing into a row is cheaper than copying the other rows of the vocabulary.
        hits = self.memory.query_apart(reading.query[unsure]).spread(unsure)
        log_weights, gate, lessons = self.weigh(hits, reading.state, related)
        return replace(
            reading, hits=hits, log_weights=log_weights, gate=gate, lessons=lessons, complete=None
        )

    def unasked(self, state: Tensor) -> Tensor:
        """Return the state unchanged, while the memory does not take part.

        All parameters are used; otherwise processes would wait for each other's gradients in vain.
        """
        return state + 0 * sum(parameter.sum() for parameter in self.parameters())

    def weigh(
        self, hits: MemoryHits, state: Tensor, lessons: Tensor | None = None
    ) -> tuple[Tensor, Tensor, LessonShares | None]:
        """Weigh all answers; those of lessons separately.

        Args:
            hits: for N queries.
            state: [N, state_dim], input of the gate.
            lessons: [N, L], numbers of the lessons that are related to the sentence, -1 for none;
                None if none are.

        Returns:
            log w [N, k], the logit of the gate [N], and how far lessons are trusted; None if none
                were taught.
        """
        taught = self.memory.taught(hits.slots)
        if taught is None:
            log_weights = self.log_weights(hits)
            return log_weights, self.gate_logit(state, hits, log_weights), None
        others, order = self._others(hits, taught)
        of_others = self.log_weights(others)
        gate = self.gate_logit(state, others, of_others)
        log_weights = torch.full_like(hits.similarities, -torch.inf).scatter(1, order, of_others)
        return log_weights, gate, lesson_shares(hits, taught, self._related(hits, taught, lessons))

    def _related(self, hits: MemoryHits, taught: Tensor, lessons: Tensor | None) -> Tensor:
        """Return which answers [N, k] are of related lessons."""
        if lessons is None:
            return torch.zeros_like(taught)
        origins = self.memory.origins[hits.slots.clamp(min=0)].unsqueeze(2)
        same = (origins == lessons.unsqueeze(1)) & (origins != NOTHING)
        return taught & same.any(dim=2)

    def others(self, hits: MemoryHits) -> MemoryHits:
        """Return the answers without lessons.

        Args:
            hits: answers of :meth:`KeyValueMemory.query_apart` to N queries.

        Returns:
            The neighbours [N, k] that were not taught.
        """
        taught = self.memory.taught(hits.slots)
        return hits if taught is None else self._others(hits, taught)[0]

    def _others(self, hits: MemoryHits, taught: Tensor) -> tuple[MemoryHits, Tensor]:
        """Return the same, and the position [N, k] of each neighbour among the hits."""
        order = taught.long().argsort(dim=1, stable=True)[:, : self.memory.neighbors]
        return hits.without(taught).select(order), order

    @contextmanager
    def constant(self, share: float, temperature: float) -> Iterator[None]:
        """Mix all answers with one share and temperature within this context, as in kNN-MT.

        Args:
            share: of the memory, from 0 to 1.
            temperature: factor of similarities before the softmax.
        """
        unseen, self.unseen = self.unseen, self.gate.in_features
        given = {
            self.gate.bias: torch.logit(torch.tensor(share), eps=_SMALLEST),
            self.log_temperature: torch.tensor(temperature).log(),
        }
        learned = [parameter.detach().clone() for parameter in given]
        try:
            _set(given.keys(), given.values())
            yield
        finally:
            self.unseen = unseen
            _set(given.keys(), learned)

    def log_weights(self, hits: MemoryHits) -> Tensor:
        """Return the log softmax over the k neighbours [N, k] with the learned temperature."""
        missing = hits.slots < 0
        # -inf times a parameter would make the parameter's gradient NaN.
        similarities = hits.similarities.masked_fill(missing, 0.0)
        scaled = (self.log_temperature.exp() * similarities).masked_fill(missing, -1e4)
        return torch.log_softmax(scaled, dim=1).masked_fill(missing, -torch.inf)

    def answer(self, values: Tensor, confidence: Tensor) -> Tensor:
        """Embed values [N], weighted by their confidence [N] -> [N, state_dim]."""
        assert self.embedding[0] is not None  # checked when created
        value = self.embedding[0](values.clamp(min=0))
        return self.combine(value * confidence.unsqueeze(1).to(value.dtype))

    def gate_logit(self, state: Tensor, hits: MemoryHits, log_weights: Tensor) -> Tensor:
        """Compute the logit of the gate [N] from the state and :meth:`features`."""
        features = self.features(hits, log_weights).to(state.dtype)
        seen = torch.cat([state, features], dim=1)[:, self.unseen :]
        gate = F.linear(seen, self.gate.weight[:, self.unseen :], self.gate.bias).squeeze(1).float()
        return gate.masked_fill(hits.slots[:, 0] < 0, _NEVER)  # an empty memory has no influence

    @staticmethod
    @torch.no_grad()
    def features(hits: MemoryHits, log_weights: Tensor) -> Tensor:
        """Return how unanimous and how near the answers are [N, 3].

        These are the weight of the best value and the similarities of the first and last
        neighbours.
        """
        same = hits.values == hits.values[:, :1]
        agreement = masked_logsumexp(log_weights, same).exp()
        nearest = hits.similarities[:, 0].masked_fill(hits.slots[:, 0] < 0, 0.0)
        kth = hits.similarities[:, -1].masked_fill(hits.slots[:, -1] < 0, 0.0)
        return torch.stack([agreement, nearest, kth], dim=1)
