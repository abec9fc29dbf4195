"""Reproduce the results on rare symbols in docs/results.md: `make rare-symbols`.

    python scripts/reproduce.py rare-symbols --models extended_neural_gpu

For every seed, trains the translator without and with memory by configs/rare_symbols.yaml (with
`--models`, the Extended Neural GPU by configs/rare_symbols_neural_gpu.yaml), fills the memory with
the training text, and measures: symbols by how often training asked for them, and symbols that are
met for the first time after training.
"""

import argparse

from fairseq_plugins.experiments.options import add_options

MODELS = ("gnmt", "gnmt_memory", "extended_neural_gpu", "extended_neural_gpu_memory")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--models", nargs="+", choices=MODELS, default=MODELS[:2], metavar="MODEL",
        help=f"models to train, of {', '.join(MODELS)}",
    )  # fmt: skip
    add_options(parser, "rare_symbols")


def run(args: argparse.Namespace) -> str:
    """Train, fill, evaluate and return the results."""
    from fairseq_plugins.experiments import rare_symbols as experiment
    from fairseq_plugins.experiments.workshop import workshop

    shop = workshop(args, *(experiment.MODELS[model][0] for model in args.models))
    results = experiment.rare_symbols(shop, args.models, args.seeds, args.overrides)
    shop.save(results)
    experiment.draw(results, shop.out)
    return experiment.rare_symbols_table(results)
