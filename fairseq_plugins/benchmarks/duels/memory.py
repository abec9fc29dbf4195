"""Compares a training step of a full memory with a matrix product and a top-k."""

import argparse
import logging
import sys
from dataclasses import asdict
from itertools import product

from fairseq_plugins.benchmarks.duel import Duel, Effort, duel
from fairseq_plugins.benchmarks.memory import MemorySizes, Step, check
from fairseq_plugins.benchmarks.report import measurable
from fairseq_plugins.memory.search.mirror import DTYPES

logger = logging.getLogger(__name__)


def measure(args: argparse.Namespace) -> list[Duel]:
    """Measure all sizes of memory, each with all numbers of neighbours."""
    pairs = product(args.slots, args.neighbors)
    return [duel for slots, neighbors in pairs for duel in _measure(args, slots, neighbors)]


def _measure(args: argparse.Namespace, slots: int, neighbors: int) -> list[Duel]:
    """Measure one size of memory."""
    sizes = MemorySizes(slots, args.dim, args.queries, neighbors, args.dtype, args.clustered,
                        args.budget_mb, args.device)  # fmt: skip
    if args.check:
        right(sizes)
    return compare(sizes, args.search, Effort(args.seconds))


def right(sizes: MemorySizes) -> None:
    """Exit if results differ from brute force."""
    problems = check(sizes)
    if problems:
        sys.exit("\n".join(f"error: {sizes.slots:,} slots: {problem}" for problem in problems))
    logger.info("%s slots: results equal brute force", f"{sizes.slots:,}")


def compare(sizes: MemorySizes, search: bool, effort: Effort) -> list[Duel]:
    """Compare one size with its rivals."""
    title = f"{sizes.slots:,} slots, k = {sizes.neighbors}"
    step = Step(sizes)
    whole = f"mm + topk({sizes.neighbors})", step.rival(sizes.neighbors)
    if not search:
        return [duel(title, ("memory step", step.run), whole, effort, "steps", **asdict(sizes))]
    products = [
        (f"mm in {name}", step.rival(0, DTYPES[name]))
        for name in ("float32", "bfloat16")
        if measurable(name, sizes.device, f"{title} beside mm in {name}")
    ]
    return [
        duel(title, ("search", step.search), rival, effort, "searches", **asdict(sizes))
        for rival in (whole, *products)
    ]
