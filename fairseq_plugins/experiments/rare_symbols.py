"""The steps behind ``make rare-symbols``; each is skipped if its output exists."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fairseq_plugins.atomic import write_json
from fairseq_plugins.evaluation.algorithmic import Solver
from fairseq_plugins.evaluation.algorithmic_report import Measures
from fairseq_plugins.evaluation.algorithmic_report import evaluate as measured
from fairseq_plugins.evaluation.spread import Spread, spread
from fairseq_plugins.experiments.workshop import Training, Workshop, mean_minutes
from fairseq_plugins.plots import algorithmic as algorithmic_plots
from fairseq_plugins.teaching.filled import Filling

TRANSLATOR, NEURAL_GPU = "rare_symbols", "rare_symbols_neural_gpu"
# Names of models -> configuration, and changes to it.
MODELS: dict[str, tuple[str, list[str]]] = {
    "gnmt": (TRANSLATOR, [
        "model._name=gnmt", "~model.memory_size", "~model.memory_key_dim", "~model.memory_query",
        "~model.memory_from_update",
    ]),
    "gnmt_memory": (TRANSLATOR, []),
    "extended_neural_gpu": (NEURAL_GPU, [
        "model._name=extended_neural_gpu", "~model.memory_size", "~model.memory_from_update",
    ]),
    "extended_neural_gpu_memory": (NEURAL_GPU, []),
}  # fmt: skip
SLOTS = 300_000  # more than the number of symbols in the training text


def rare_symbols(
    workshop: Workshop, models: Sequence[str], seeds: Sequence[int], overrides: Sequence[str]
) -> dict[str, list[dict]]:
    """Train, fill and evaluate; return one result per seed for each model."""
    runs = [(model, seed) for seed in seeds for model in models]
    workshop.train([training(*pair, overrides) for pair in runs])
    return {model: [evaluate(workshop, model, seed) for seed in seeds] for model in models}


def training(model: str, seed: int, overrides: Sequence[str]) -> Training:
    """Return a training from the published configuration."""
    config, changes = MODELS[model]
    return Training(f"{model}_{seed}", config, [f"common.seed={seed}", *changes, *overrides])


def evaluate(workshop: Workshop, model: str, seed: int) -> dict:
    """Measure accuracy by rarity, and for repeated symbols."""
    name = f"{model}_{seed}"
    folder = workshop.folder(name)
    checkpoint, result = folder / "checkpoint_last.pt", folder / "result.json"
    if not result.exists():
        if "memory" in model:
            checkpoint = workshop.fill(checkpoint, Filling(memory_size=SLOTS))
        found = measured(Solver(checkpoint), Measures(rarity=True, lifelong=True))
        write_json(result, found.as_json())
    known = {"seed": seed, "training_seconds": workshop.seconds(name)}
    return json.loads(result.read_text("utf-8")) | known


def by_bucket(results: Sequence[dict], what: str) -> dict[str, Spread]:
    """Return one kind of share, by how often training asked for the symbols."""
    buckets = results[0]["rarity"]
    return {bucket: spread(r["rarity"][bucket][what] for r in results) for bucket in buckets}


def rare_symbols_table(results: Mapping[str, Sequence[dict]]) -> str:
    """Return mean and standard deviation over seeds, in per cent."""
    lines = []
    first = next(iter(results.values()))[0]
    for what in ("symbols", "sequences"):
        lines.append(_row(what + " correct, %", first["rarity"]))
        lines += [_row(model, by_bucket(own, what).values()) for model, own in results.items()]
        lines.append("")
    lines.append(_row("showing, correct, %", first["lifelong"]))
    for model, own in results.items():
        cells = [spread(r["lifelong"][showing] for r in own) for showing in first["lifelong"]]
        minutes = mean_minutes(own)
        lines.append(f"{_row(model, cells)}   trained for {minutes:.1f} minutes")
    return "\n".join(lines)


def _row(head: str, cells: Iterable[object]) -> str:
    return f"{head:<28}" + "".join(f"{cell!s:>16}" for cell in cells)


def draw(results: Mapping[str, Sequence[dict]], folder: Path) -> None:
    """Draw the first table."""
    algorithmic_plots.accuracy(
        {model: by_bucket(own, "symbols") for model, own in results.items()},
        "number of times that training asked for f of the symbol",
        folder / "rare_symbols.png",
    )
