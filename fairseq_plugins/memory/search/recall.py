"""How good approximate answers are, and the effort that makes them good enough.

What matters is not which slots answer but which values: a frequent word has thousands of slots that
are as good as each other. Let p(v) be the sum of softmax(t q . K) over those of the k nearest slots
that hold v, and p'(v) the same for the slots that were found. The *recall* of a set of queries is
the lower of

- the share of queries whose best slot has the same value, and
- the mean of 1 - sum_v |p(v) - p'(v)| / 2, the mass that both distributions have in common.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fairseq_plugins.memory.hits import NOTHING

Found = tuple[Tensor, Tensor]  # similarities and slots [N, k], best first; -inf and -1 where none

SAMPLE = 256  # queries of a check
_ROWS = 16  # of them, at most, from one search, because queries that are asked together are alike
_SELDOM = 10_000  # after the first check, one query in so many is kept for the next one
_DEVIATIONS = 2.0  # a sample's recall differs so many standard deviations from the true one


@dataclass(frozen=True)
class Recall:
    """The recall of a set of queries, as shares from 0 to 1."""

    values: float
    """Recall by value, as defined above."""
    best: float
    """Share of queries whose best slot was found."""
    slots: float
    """Share of the k nearest slots that were found."""

    def __str__(self) -> str:
        """Return one line for the log."""
        return (
            f"recall {self.values:.1%} by value, {self.best:.1%} of the best slots, "
            f"{self.slots:.1%} of all slots"
        )


def recall(exact: Found, found: Found, values: Tensor, temperature: float) -> Recall:
    """Compare answers to the same N queries.

    Args:
        exact: what there is to be found.
        found: what was found.
        values: [S] int64, of the slots.
        temperature: t.
    """
    slots, others = exact[1], found[1]
    of_exact, weights = _distribution(exact, values, temperature)
    of_found, more = _distribution(found, values, temperature)
    same = (of_exact[:, 0] == of_found[:, 0]).float().mean()
    both, order = torch.cat([of_exact, of_found], dim=1).sort(dim=1)  # [N, 2 k]
    group = (both.diff(dim=1) != 0).cumsum(dim=1)  # numbers of the distinct values, from 0
    group = torch.cat([torch.zeros_like(both[:, :1]), group], dim=1)
    signed = torch.cat([weights, -more], dim=1).gather(1, order)
    differ = torch.zeros_like(signed).scatter_add(1, group, signed).abs().sum(dim=1) / 2
    real = slots != NOTHING
    met = (slots.unsqueeze(2) == others.unsqueeze(1)).any(dim=2) & real  # [N, k]
    return Recall(
        min(float(same), float(1 - differ.mean())),
        float((slots[:, 0] == others[:, 0]).float().mean()),
        float(met.sum() / real.sum().clamp(min=1)),
    )


def _distribution(found: Found, values: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return the value of each slot [N, k], and its weight; -1 and 0 where there is none."""
    missing = found[1] == NOTHING
    named = values[found[1].clamp(min=0)].masked_fill(missing, NOTHING)
    weights = torch.softmax(temperature * found[0].masked_fill(missing, -1e4), dim=1)
    return named, weights.masked_fill(missing, 0.0)


@dataclass
class Tuning:
    """The effort of a search for k neighbours, which is found in use.

    Attributes:
        goal: recall to be reached.
        effort: chosen; None at first.
    """

    goal: float
    effort: int | None = None
    _kept: list[Tensor] = field(default_factory=list)
    _every: int = 1  # one query in so many is kept
    _passed: int = 0  # queries since the last one was kept

    def sample(self, query: Tensor) -> Tensor | None:
        """Keep some of the queries [N, D] of a search; return a sample when there are enough.

        The first sample may also lower the effort, because it was chosen without real queries.
        """
        self._passed += len(query)
        rows = min(_ROWS, len(query), self._passed // self._every)
        if rows:
            self._passed = 0
            self._kept.append(query[torch.arange(rows) * len(query) // rows])
        if sum(map(len, self._kept)) < SAMPLE:
            return None
        if self._every == 1:
            self.effort = None
        taken, self._kept, self._every = torch.cat(self._kept), [], _SELDOM
        return taken

    def choose(self, efforts: Sequence[int], measure: Callable[[int], Recall], n: int) -> Recall:
        """Choose the least effort that reaches the goal, but none below the current one.

        A sample differs from all queries by chance, so a chosen effort stays while the goal is
        missed by no more than that.

        Args:
            efforts: possible ones, ascending.
            measure: returns the recall of an effort on a sample.
            n: size of the sample.

        Returns:
            The recall that was reached.
        """
        chance = _DEVIATIONS * math.sqrt(self.goal * (1 - self.goal) / n)
        for effort in efforts:
            if self.effort is None or effort >= self.effort:
                reached = measure(effort)
                if reached.values >= self.goal - (chance if effort == self.effort else 0):
                    break
        self.effort = effort
        return reached
