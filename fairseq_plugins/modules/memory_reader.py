"""How what a memory answers gets into a model's output.

Two ways, alone or together (``MemoryReader(mode=...)``):

- *embed* (Kaiser et al. 2017, section 3): the best neighbour's value is embedded, weighed with
  its confidence and added to the state from which the logits are made.
- *interpolate*: the distribution of the k neighbours over their values is mixed into the
  softmax with a gate, p(y) = (1 - g) softmax(z)_y + g sum_{i: V_i = y} w_i, where the gate g and
  the temperature of the weights w are learned.

Slots that were taught are mixed in apart. The learned gate knows nothing of them, and a lesson is
to be followed where its own sentence comes again and to keep silent elsewhere: so they are trusted
by likeness alone, with h = LESSON max(0, (s - LIKE) / (1 - LIKE)) for the similarity s of the
nearest,

    p(y) = (1 - h) ((1 - g) softmax(z)_y + g sum_{i: V_i = y} w_i) + h sum_{j: V_j = y} v_j

where i are the neighbours that were not taught, and j those that were.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairseq_plugins.memory import KeyValueMemory, MemoryHits

MODES = ("embed", "interpolate", "both")

# Of slots that were taught; chosen on sets of lessons (docs/memory.md has the table).
LESSON = 0.95
LIKE = 0.995
SHARPNESS = 1000.0
"""v is a softmax of this times the similarities: a thousandth makes a difference of e."""
_SMALLEST = 1e-7


@dataclass(frozen=True)
class MemoryReading:
    """What a model read from its memory at N positions.

    Attributes:
        memory: what was asked.
        query: [N, key_dim], the questions; the criterion learns and writes with them.
        hits: what answered; None if there was no search.
        positions: [batch, time] bool with N times True, where it was asked.
        log_weights: [N, k], log w, -inf for missing neighbours; None unless interpolating.
        gate: [N], logit of g; None unless interpolating.
        state: [N, dim], what the gate saw beside the answers; None unless interpolating.
    """

    memory: KeyValueMemory
    query: Tensor
    hits: MemoryHits | None
    positions: Tensor
    log_weights: Tensor | None = None
    gate: Tensor | None = None
    state: Tensor | None = None

    def mix_target(self, log_prob: Tensor, target: Tensor) -> Tensor:
        """log p(target) of the mixture, from the softmax's own log p(target) [N]."""
        if self.hits is None or self.gate is None or self.log_weights is None:
            return log_prob
        return mix_target(log_prob, target, self.hits.values, self.log_weights, self.gate)

    def mix(self, log_probs: Tensor) -> Tensor:
        """Log-probabilities [N, vocabulary] of the mixture, from those of the softmax.

        Without gradients the result takes the place of ``log_probs``.
        """
        if self.hits is None or self.gate is None or self.log_weights is None:
            return log_probs
        missing = self.hits.values < 0  # [N, k]
        # A missing neighbour repeats the first one, which changes nothing.
        values = torch.where(missing, self.hits.values[:, :1], self.hits.values).clamp(min=0)
        values, order = values.sort(dim=1, stable=True)
        weights = self.log_weights.exp().gather(1, order)
        first, of_memory = _sums_of_equal(values, weights)
        of_memory = of_memory.clamp(min=torch.finfo(weights.dtype).tiny).log()
        gate = self.gate.unsqueeze(1)
        mixed = _mix(log_probs.gather(1, values), of_memory, gate)
        if torch.is_grad_enabled():
            # Slots of one value all have its one gradient, so the first of them stands for it.
            mixed = torch.where(first, mixed, mixed.detach())
            return (log_probs + F.logsigmoid(-gate)).scatter_(1, values, mixed)
        # A copy of [N, vocabulary] costs like a search.
        return log_probs.add_(F.logsigmoid(-gate)).scatter_(1, values, mixed)

    def mix_all(self, log_probs: Tensor) -> Tensor:
        """The same for log-probabilities [batch, time, vocabulary], where it was asked."""
        if self.gate is None:
            return log_probs
        if self.positions.shape != log_probs.shape[:2]:
            raise ValueError(
                "a memory that interpolates needs whole sentences: leave out --softmax-batch"
            )
        if bool(self.positions.all()):  # always, when tokens come one at a time
            return self.mix(log_probs.flatten(0, 1)).view_as(log_probs)
        mixed = self.mix(log_probs[self.positions])
        return log_probs.index_put((self.positions,), mixed)


def mix_target(
    log_prob: Tensor, target: Tensor, values: Tensor, log_weights: Tensor, gate: Tensor
) -> Tensor:
    """Return log p(target) [N] of the mixture of a softmax and a memory.

    Args:
        log_prob: [N], log p(target) of the softmax.
        target: [N].
        values: [N, k], of the neighbours.
        log_weights: [N, k], of the neighbours.
        gate: [N], logit of the memory's share g.
    """
    right = values == target.unsqueeze(1)  # [N, k]
    return _mix(log_prob, _masked_logsumexp(log_weights, right), gate)


def mix_memory(log_probs: Tensor, extra: dict) -> Tensor:
    """Mix what a model read from its memory into log-probabilities [batch, time, vocabulary].

    Args:
        log_probs: of the softmax.
        extra: second part of the model's output; without a reading, nothing is mixed in.
    """
    reading: MemoryReading | None = extra.get("memory")
    return log_probs if reading is None else reading.mix_all(log_probs)


def lesson_shares(similarities: Tensor, taught: Tensor) -> tuple[Tensor, Tensor]:
    """Say how far lessons are trusted.

    Args:
        similarities: [N, k] of the neighbours.
        taught: [N, k] bool, which of them are slots of lessons.

    Returns:
        h [N, 1], and v [N, k], 0 for those that are none.
    """
    likeness = similarities.masked_fill(~taught, -1.0)
    nearest = likeness.amax(dim=1, keepdim=True)  # [N, 1]
    share = LESSON * ((nearest - LIKE) / (1 - LIKE)).clamp(0.0, 1.0)
    weights = torch.softmax(SHARPNESS * likeness, dim=1).masked_fill(~taught, 0.0)
    return share, weights / weights.sum(dim=1, keepdim=True).clamp(min=_SMALLEST)


def _sums_of_equal(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Add the weights of equal values in each row.

    Args:
        values: [N, k], each row in ascending order.
        weights: [N, k].

    Returns:
        Where a value stands for the first time [N, k] bool, and at each place the sum [N, k] of the
        weights of its value.
    """
    first = torch.ones_like(values, dtype=torch.bool)
    first[:, 1:] = values[:, 1:] != values[:, :-1]
    group = first.cumsum(dim=1) - 1
    sums = torch.zeros_like(weights).scatter_add(1, group, weights)
    return first, sums.gather(1, group)


def _masked_logsumexp(log_weights: Tensor, mask: Tensor) -> Tensor:
    """log of the sum of weights where ``mask``, over the last dimension; -inf if none."""
    masked = log_weights.masked_fill(~mask, -torch.inf)
    none = (masked == -torch.inf).all(dim=-1)
    safe = masked.masked_fill(none.unsqueeze(-1), 0.0)  # no NaN in the gradient
    return torch.logsumexp(safe, dim=-1).masked_fill(none, -torch.inf)


def _mix(log_prob: Tensor, of_memory: Tensor, gate: Tensor) -> Tensor:
    """log((1 - g) p + g m) for g = sigmoid(gate)."""
    return _logaddexp(F.logsigmoid(-gate) + log_prob, F.logsigmoid(gate) + of_memory)


def _logaddexp(a: Tensor, b: Tensor) -> Tensor:
    """log(e^a + e^b), with a gradient also where b = -inf."""
    finite = b.masked_fill(b == -torch.inf, -1e4)
    return torch.logaddexp(a, finite)


class MemoryReader(nn.Module):
    """Asks a memory with a projection of a state, and puts the answer to use.

    Args:
        memory: the memory.
        query_dim: width of the state that is projected to a query.
        state_dim: width of the state just before the logits.
        mode: ``embed``, ``interpolate`` or ``both``.
        embedding: of the values, shared with the model; its width must be ``state_dim``.
    """

    FEATURES = 3  # that the gate sees beside the state, see :meth:`features`
    feeds_back = False  # what is answered changes what is asked later
    after_query = ("gate.", "log_temperature")  # weights that no query depends on

    def __init__(
        self,
        memory: KeyValueMemory,
        query_dim: int,
        state_dim: int,
        mode: str,
        embedding: nn.Embedding,
    ) -> None:
        super().__init__()
        if mode not in MODES:
            raise ValueError(f"memory read mode {mode!r} is not one of {', '.join(MODES)}")
        self.memory, self.mode = memory, mode
        self.embedding = [embedding]  # in a list: the model owns it
        self.project = nn.Linear(query_dim, memory.key_dim)
        if mode != "interpolate":
            self.combine = nn.Linear(state_dim, state_dim, bias=False)
            # Starts as if there were no memory, and learns how much of it helps.
            nn.init.zeros_(self.combine.weight)
        if mode != "embed":
            self.log_temperature = nn.Parameter(torch.tensor(memory.temperature).log())
            self.gate = nn.Linear(state_dim + self.FEATURES, 1)
            nn.init.zeros_(self.gate.weight)
            nn.init.constant_(self.gate.bias, -2.0)

    def forward(
        self, source: Tensor, state: Tensor, positions: Tensor, search: bool = True
    ) -> tuple[Tensor, MemoryReading]:
        """Ask at every position that holds a token.

        Args:
            source: [batch, time, query_dim], projected to the queries.
            state: [batch, time, state_dim].
            positions: [batch, time] bool, where to ask.
            search: False only tells what is asked; nothing is read.

        Returns:
            The state with what was read, and what was read.
        """
        query = self.project(source[positions]).float()
        if not search:
            return state, MemoryReading(self.memory, query, None, positions)
        hits = self.memory.query_apart(query)
        log_weights = gate = seen = None
        if self.mode != "interpolate":
            read = self.answer(hits.values[:, 0], hits.confidence).to(state.dtype)
            state = state.index_put((positions,), read, accumulate=True)
        if self.mode != "embed":
            seen = state[positions]
            log_weights, gate = self.weigh(hits, seen)
        return state, MemoryReading(self.memory, query, hits, positions, log_weights, gate, seen)

    def unasked(self, state: Tensor) -> Tensor:
        """The state as it is, where the memory has no say yet.

        All parameters take part, or processes wait for each other's gradients in vain.
        """
        return state + 0 * sum(parameter.sum() for parameter in self.parameters())

    def weigh(self, hits: MemoryHits, state: Tensor) -> tuple[Tensor, Tensor]:
        """Weigh all answers, those of lessons included.

        Args:
            hits: of N queries.
            state: [N, state_dim], seen by the gate.

        Returns:
            log w [N, k] of one mixture with the softmax, and the logit of its gate [N].
        """
        others, order = self.others(hits)
        of_others = self.log_weights(others)
        gate = self.gate_logit(state, others, of_others)
        if order is None:
            return of_others, gate
        taught = self.memory.taught(hits.slots)
        assert taught is not None
        gate = gate.sigmoid().unsqueeze(1)
        share, of_lessons = lesson_shares(hits.similarities, taught)
        weights = torch.zeros_like(hits.similarities).scatter(1, order, of_others.exp())
        weights = (1 - share) * gate * weights + share * of_lessons
        total = weights.sum(dim=1, keepdim=True).clamp(min=_SMALLEST)
        log_weights = (weights / total).log()
        return log_weights, torch.logit(total.squeeze(1), eps=_SMALLEST)

    def others(self, hits: MemoryHits) -> tuple[MemoryHits, Tensor | None]:
        """Return what would have answered without lessons.

        Args:
            hits: what :meth:`KeyValueMemory.query_apart` answered to N queries.

        Returns:
            The neighbours [N, k] that were not taught, and the place of each among the hits; None
            instead of the places if nothing was taught, and all have stayed where they were.
        """
        taught = self.memory.taught(hits.slots)
        if taught is None:
            return hits, None
        order = taught.long().argsort(dim=1, stable=True)[:, : self.memory.neighbors]
        return hits.without(taught).select(order), order

    def log_weights(self, hits: MemoryHits) -> Tensor:
        """log softmax over the k neighbours [N, k] with the learned temperature."""
        missing = hits.slots < 0
        # -inf times a parameter would make the parameter's gradient NaN.
        similarities = hits.similarities.masked_fill(missing, 0.0)
        scaled = (self.log_temperature.exp() * similarities).masked_fill(missing, -1e4)
        return torch.log_softmax(scaled, dim=1).masked_fill(missing, -torch.inf)

    def answer(self, values: Tensor, confidence: Tensor) -> Tensor:
        """Embedded values [N], weighed with their confidence [N] -> [N, state_dim]."""
        value = self.embedding[0](values.clamp(min=0))
        return self.combine(value * confidence.unsqueeze(1).to(value.dtype))

    def gate_logit(self, state: Tensor, hits: MemoryHits, log_weights: Tensor) -> Tensor:
        """Logit of the gate [N], from the state and :meth:`features`."""
        features = self.features(hits, log_weights).to(state.dtype)
        gate = self.gate(torch.cat([state, features], dim=1)).squeeze(1).float()
        return gate.masked_fill(hits.slots[:, 0] < 0, -1e4)  # an empty memory has no say

    @staticmethod
    @torch.no_grad()
    def features(hits: MemoryHits, log_weights: Tensor) -> Tensor:
        """How unanimous and how near the answer is [N, 3].

        The weight of the best value, and the similarities of the first and the last neighbour.
        """
        same = hits.values == hits.values[:, :1]
        agreement = _masked_logsumexp(log_weights, same).exp()
        nearest = hits.similarities[:, 0].masked_fill(hits.slots[:, 0] < 0, 0.0)
        kth = hits.similarities[:, -1].masked_fill(hits.slots[:, -1] < 0, 0.0)
        return torch.stack([agreement, nearest, kth], dim=1)
