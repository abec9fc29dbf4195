"""What an accelerator makes of the memory and its models.

    python scripts/benchmark.py gpu --json gpu.json

Exact search over a million and over eight million slots beside the matrix product alone, training
of the published GNMT without and with a memory of a million slots, decoding with that memory, and
training on drawings. Each part has a time limit of its own, and results are written as they come.
"""

import argparse
from pathlib import Path

PARTS = ("search_1m_512", "search_8m_128", "training_gnmt", "training_gnmt_memory", "decoding",
         "drawings")  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what is measured, and where."""
    add = parser.add_argument
    add("--device", choices=("cpu", "cuda"), default="cuda", help="where to compute")
    add("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts to measure (all)")
    add("--quick", action="store_true", help="tiny sizes, to see that it works; also on a CPU")
    add("--json", type=Path, metavar="FILE", help="write all numbers there, too")


def run(args: argparse.Namespace) -> str:
    """Measure, tell."""
    import torch

    from fairseq_plugins.benchmarks.accelerator import Scale, results_table, run_parts
    from fairseq_plugins.errors import InputError

    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "--device cuda: this machine has no GPU that torch can use; give --device cpu --quick, "
            "which only shows that the parts work"
        )
    return results_table(run_parts(args.only, Scale(args.device, args.quick), args.json))
