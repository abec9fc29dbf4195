"""Measure the memory and its models on an accelerator.

    python scripts/benchmark.py gpu --json gpu.json

Measures exact search over one and over eight million slots, compared with the matrix product;
training of the published GNMT with and without a memory of a million slots; decoding with that
memory; and training on drawings. Each part has its own time limit, and results are written as they
arrive.
"""

import argparse

from fairseq_plugins.benchmarks.options import add_json

PARTS = ("search_1m_512", "search_8m_128", "training_gnmt", "training_gnmt_memory", "decoding",
         "drawings")  # fmt: skip


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--device", choices=("cpu", "cuda"), default="cuda", help="device to compute on")
    add("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts to measure (all)")
    add("--quick", action="store_true", help="use tiny sizes, to see that it works; also on a CPU")
    add_json(parser)


def run(args: argparse.Namespace) -> str:
    """Measure, and return the table."""
    import torch

    from fairseq_plugins.benchmarks.accelerator import Scale, results_table, run_parts
    from fairseq_plugins.errors import InputError

    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "--device cuda: this machine has no GPU that torch can use; give --device cpu --quick, "
            "which only shows that the parts work"
        )
    return results_table(run_parts(args.only, Scale(args.device, args.quick), args.json))
