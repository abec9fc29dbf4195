"""Everything that is measured of a model that learned an algorithm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fairseq_plugins.evaluation.algorithmic import (
    Right,
    Solver,
    by_length,
    by_rarity,
    lifelong,
    shares_table,
)

TEST_TEXT = 1


@dataclass(frozen=True)
class Measures:
    """What to measure.

    Attributes:
        lengths: of examples, one row for each.
        rarity: whether to measure rare symbols by how often training asked for f of them.
        lifelong: whether to measure repeated symbols for which training never asked.
        sequences: number for each row of a table.
        symbols: number of symbols for ``lifelong``.
        showings: of each symbol, for ``lifelong``.
        batch_size: number of sequences in a batch.
    """

    lengths: Sequence[int] = ()
    rarity: bool = False
    lifelong: bool = False
    sequences: int = 2000
    symbols: int = 500
    showings: int = 5
    batch_size: int = 100


@dataclass(frozen=True)
class AlgorithmicReport:
    """Shares of correct answers, in per cent; empty for what was not measured."""

    lengths: Mapping[int, Right] = field(default_factory=dict)
    rarity: Mapping[str, Right] = field(default_factory=dict)
    lifelong: Mapping[int, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return a table for each measure."""
        parts = [shares_table(self.lengths, "length")] if self.lengths else []
        parts += [shares_table(self.rarity, "seen")] if self.rarity else []
        if self.lifelong:
            rows = [f"{k:<10}{share:.2f}" for k, share in self.lifelong.items()]
            parts.append("\n".join(["showing   right", *rows]))
        return "\n".join(parts)

    def as_json(self) -> dict:
        """Return all measurements, for programs."""
        tables: dict[str, Mapping] = {"lengths": self.lengths, "rarity": self.rarity}
        found: dict[str, dict] = {
            name: {key: share.as_dict() for key, share in shares.items()}
            for name, shares in tables.items()
            if shares
        }
        return found | ({"lifelong": dict(self.lifelong)} if self.lifelong else {})


def evaluate(solver: Solver, measures: Measures) -> AlgorithmicReport:
    """Measure.

    Args:
        solver: of the model; ``measures.lifelong`` changes its memory.
        measures: what to measure.

    Raises:
        InputError: if the measure does not suit the model's algorithm.
    """
    length, size = solver.task.cfg.max_length, measures.batch_size
    lengths, rarity, life = {}, {}, {}
    if measures.lengths:
        lengths = by_length(solver, measures.lengths, measures.sequences, size)
    if measures.rarity:
        rarity = by_rarity(solver, TEST_TEXT, measures.sequences, length, size)
    if measures.lifelong:
        life = lifelong(solver, measures.symbols, measures.showings, length)
    return AlgorithmicReport(lengths, rarity, life)
