"""The steps behind ``scripts/reproduce_algorithmic.py``; each is skipped if its output exists."""

import json
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from fairseq_plugins.tools import algorithmic_plots
from fairseq_plugins.tools.commands import run
from fairseq_plugins.tools.trainings import ROOT, Training, Workshop

CONFIG = "rare_symbols"
WITHOUT_MEMORY = [
    "model._name=gnmt", "~model.memory_size", "~model.memory_key_dim", "~model.memory_query",
    "~model.memory_from_update",
]  # fmt: skip
MODELS: dict[str, list[str]] = {"gnmt": WITHOUT_MEMORY, "gnmt_memory": []}
SLOTS = 300_000  # more than the training text has symbols


def rare_symbols(
    workshop: Workshop, models: Sequence[str], seeds: Sequence[int], overrides: Sequence[str]
) -> dict[str, list[dict]]:
    """Train, fill and measure; for each model one result a seed."""
    runs = [(model, seed) for seed in seeds for model in models]
    workshop.train([training(*pair, overrides) for pair in runs])
    return {model: [evaluate(workshop, model, seed) for seed in seeds] for model in models}


def training(model: str, seed: int, overrides: Sequence[str]) -> Training:
    """One by the shipped configuration."""
    return Training(f"{model}_{seed}", CONFIG, [f"common.seed={seed}", *MODELS[model], *overrides])


def evaluate(workshop: Workshop, model: str, seed: int) -> dict:
    """Accuracy by rarity, and for life."""
    name = f"{model}_{seed}"
    folder = workshop.folder(name)
    checkpoint, result = folder / "checkpoint_last.pt", folder / "result.json"
    if not result.exists():
        if "memory" in model:
            checkpoint = fill(workshop, checkpoint, name)
        script = ROOT / "scripts" / "evaluate_algorithmic.py"
        command = [sys.executable, script, checkpoint, "--rarity", "--lifelong", "--cpu"]
        run([*command, "--json", result], workshop.log(f"evaluate_{name}"), workshop.threads)
    found = json.loads(result.read_text("utf-8"))
    return found | {"seed": seed, "training_seconds": workshop.seconds(name)}


def fill(workshop: Workshop, checkpoint: Path, name: str) -> Path:
    """The whole training text in the memory, and a gate that knows how far to trust it."""
    filled = checkpoint.with_name("filled.pt")
    if not filled.exists():
        script = ROOT / "scripts" / "fill_memory.py"
        run(
            [
                sys.executable, script, "--path", checkpoint, "--clear", "--memory-size", SLOTS,
                "--calibrate", "valid", "--output", filled, "--cpu",
            ],
            workshop.log(f"fill_{name}"),
            workshop.threads,
        )  # fmt: skip
    return filled


Number = Callable[[dict], float]


def spread(results: Sequence[dict], number: Number) -> tuple[float, float]:
    """Mean and standard deviation over seeds."""
    numbers = [number(result) for result in results]
    return statistics.mean(numbers), statistics.stdev(numbers) if len(numbers) > 1 else 0.0


def by_bucket(results: Sequence[dict], what: str) -> dict[str, tuple[float, float]]:
    """Mean and deviation of one kind of share, by how often training asked for the symbols."""
    return {
        bucket: spread(results, lambda result, bucket=bucket: result["rarity"][bucket][what])  # type: ignore[misc]
        for bucket in results[0]["rarity"]
    }


def table(results: Mapping[str, Sequence[dict]]) -> str:
    """Mean and standard deviation over seeds, in per cent."""
    lines = []
    for what in ("symbols", "sequences"):
        first = next(iter(results.values()))
        lines.append(f"{what + ' right, %':<20}" + "".join(f"{b:>15}" for b in first[0]["rarity"]))
        for model, own in results.items():
            lines.append(f"{model:<20}{_row(by_bucket(own, what).values())}")
        lines.append("")
    showings = next(iter(results.values()))[0]["lifelong"]
    lines.append(f"{'showing, % right':<20}" + "".join(f"{k:>15}" for k in showings))
    for model, own in results.items():
        cells = [spread(own, lambda r, k=k: r["lifelong"][k]) for k in showings]  # type: ignore[misc]
        minutes, _ = spread(own, lambda r: r["training_seconds"] / 60)
        lines.append(f"{model:<20}{_row(cells)}   trained for {minutes:.1f} minutes")
    return "\n".join(lines)


def _row(cells: Iterable[tuple[float, float]]) -> str:
    return "".join(f"{mean:>8.2f} ± {deviation:<4.2f}" for mean, deviation in cells)


def draw(results: Mapping[str, Sequence[dict]], folder: Path) -> None:
    """A picture of the first table."""
    algorithmic_plots.accuracy(
        {model: by_bucket(own, "symbols") for model, own in results.items()},
        "times that training asked for the symbol",
        folder / "rare_symbols.png",
    )
