"""How long a full memory takes for one training step, beside a matrix product and a top-k alone.

    python scripts/benchmark_memory.py
    python scripts/benchmark_memory.py --search --slots 1000000 --dim 512 --queries 4096

A step asks the memory, computes its loss and gradient, and writes what was asked: for 480 queries
of 128 numbers, at 8,192, 65,536 and 262,144 slots. The rival is torch.mm(query, keys.T) in float32
into space made beforehand, and topk(256) of that. With --search, only asking is measured, and the
rival is the product without the top-k, in float32 and in bfloat16.
"""

import argparse
import logging
import sys
from dataclasses import asdict

from fairseq_plugins.benchmarks.duel import Duel, Effort, duel
from fairseq_plugins.benchmarks.memory import MemorySizes, Step, check
from fairseq_plugins.benchmarks.report import add_options, measurable, run
from fairseq_plugins.memory.search.mirror import DTYPES
from fairseq_plugins.program import positive

logger = logging.getLogger("benchmark_memory")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--slots", type=positive, nargs="+", default=[8192, 65536, 262144], help="memory sizes")
    add("--dim", type=positive, default=128, help="width of keys and queries (128)")
    add("--queries", type=positive, default=480, help="queries a step (480)")
    add("--neighbors", type=positive, default=256, help="k (256)")
    add("--dtype", choices=("auto", *DTYPES), default="auto",
        help="number format of the memory's coarse product (auto)")  # fmt: skip
    add("--clustered", action="store_true", help="keys in clusters of 16 instead of anywhere")
    add("--budget-mb", type=positive, default=64, help="similarities that are held at once (64)")
    add("--search", action="store_true", help="only ask; the rival is the product alone")
    add("--check", action="store_true", help="first compare the results with brute force")
    add_options(parser, seconds=20)
    args = parser.parse_args()
    if args.quick:
        args.slots, args.queries, args.neighbors, args.seconds = [1024], 32, 16, 0.0
    return args


def main() -> None:
    """Check, measure, tell."""
    args = parse()
    print(run(args, lambda: [duel for slots in args.slots for duel in measure(args, slots)]))


def measure(args: argparse.Namespace, slots: int) -> list[Duel]:
    """One size of memory."""
    sizes = MemorySizes(slots, args.dim, args.queries, args.neighbors, args.dtype, args.clustered,
                        args.budget_mb, args.device)  # fmt: skip
    if args.check:
        right(sizes)
    return compare(sizes, args.search, Effort(args.seconds))


def right(sizes: MemorySizes) -> None:
    """End the program if results are not those of brute force."""
    problems = check(sizes)
    if problems:
        sys.exit("\n".join(f"error: {sizes.slots:,} slots: {problem}" for problem in problems))
    logger.info("%s slots: results equal brute force", f"{sizes.slots:,}")


def compare(sizes: MemorySizes, search: bool, effort: Effort) -> list[Duel]:
    """One size against its rivals."""
    title = f"{sizes.slots:,} slots"
    step = Step(sizes)
    if not search:
        rival = f"mm + topk({sizes.neighbors})", step.rival(sizes.neighbors)
        return [duel(title, ("memory step", step.run), rival, effort, "steps", **asdict(sizes))]
    return [
        duel(title, ("search", step.search), (f"mm in {name}", step.rival(0, DTYPES[name])),
             effort, "searches", **asdict(sizes))
        for name in ("float32", "bfloat16")
        if measurable(name, sizes.device, f"{title} beside mm in {name}")
    ]  # fmt: skip


if __name__ == "__main__":
    main()
