"""The steps behind ``scripts/reproduce_omniglot.py``; each is skipped if its output exists."""

import json
import logging
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fairseq_plugins.tools.commands import run
from fairseq_plugins.tools.trainings import ROOT, Training, Workshop

logger = logging.getLogger(__name__)

CONFIG = "omniglot_vinyals"
# With fewer characters to train on, those of the official split, longer training still helps.
UPDATES = {"vinyals": 10_000, "background-evaluation": 24_000}
VIEWS = 25  # of each drawing, in evaluation
SHOWINGS = (5, 15)  # classes


@dataclass(frozen=True)
class Plan:
    """What is reproduced, and where."""

    workshop: Workshop
    source: Path | None
    seeds: Sequence[int]
    splits: Sequence[str]
    overrides: Sequence[str]


def omniglot(plan: Plan) -> list[dict]:
    """Do everything; one result per split and seed."""
    workshop = plan.workshop
    data = workshop.out / "data"
    source = ["--source", plan.source] if plan.source else []
    logger.info("Preparing Omniglot in %s", data)
    command = [sys.executable, "-m", "data_prep.omniglot", "--out", data, "--sizes", 28, *source]
    run(command, workshop.log("data"), workshop.threads)
    runs = [(split, seed) for seed in plan.seeds for split in plan.splits]
    workshop.train([training(data, *pair, plan.overrides) for pair in runs])
    return [evaluate(workshop, data, split, seed) for split, seed in runs]


def training(data: Path, split: str, seed: int, overrides: Sequence[str]) -> Training:
    """One by the shipped configuration."""
    own = [f"common.seed={seed}", f"task.data={data}", f"task.split={split}"]
    if split in UPDATES:
        updates = UPDATES[split]
        own += [f"optimization.max_update={updates}", f"lr_scheduler.total_num_update={updates}"]
    return Training(f"{split}_{seed}", CONFIG, [*own, *overrides])


def evaluate(workshop: Workshop, data: Path, split: str, seed: int) -> dict:
    """Measure on characters never trained on."""
    name = f"{split}_{seed}"
    folder = workshop.folder(name)
    result = folder / "result.json"
    if not result.exists():
        script = ROOT / "scripts" / "evaluate_omniglot.py"
        run(
            [
                sys.executable, script, "--data", data, "--split", split,
                "--path", folder / "checkpoint_last.pt", "--views", VIEWS,
                "--showings", *SHOWINGS, "--lifelong", "--plots", folder / "plots",
                "--json", result,
            ],
            workshop.log(f"evaluate_{name}"),
            workshop.threads,
        )  # fmt: skip
    found = json.loads(result.read_text("utf-8"))
    return found | {"seed": seed, "training_seconds": workshop.seconds(name)}


def table(results: Sequence[dict]) -> str:
    """Mean and standard deviation over seeds, one line a split."""
    protocols = list(results[0]["few_shot"])
    lines = [f"{'':<24}{'minutes':>8}" + "".join(f"{name:>16}" for name in protocols)]
    for split in dict.fromkeys(result["split"] for result in results):
        own = [result for result in results if result["split"] == split]
        minutes = statistics.mean(result["training_seconds"] for result in own) / 60
        line = f"{split:<24}{minutes:>8.1f}"
        for name in protocols:
            means = [result["few_shot"][name]["mean"] for result in own]
            spread = statistics.stdev(means) if len(means) > 1 else 0.0
            line += f"{statistics.mean(means):>9.2f} ± {spread:.2f}"
        lines.append(line)
    return "\n".join(lines)
