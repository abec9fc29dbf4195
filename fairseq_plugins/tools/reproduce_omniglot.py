"""The steps behind ``scripts/reproduce_omniglot.py``; each is skipped if its output exists."""

import json
import logging
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fairseq_plugins.tools.commands import PLUGINS, program, run

logger = logging.getLogger(__name__)

ROOT = PLUGINS.parent
CONFIG = "omniglot_vinyals"
SPLITS = ("vinyals", "background-evaluation")
SHOWINGS = (5, 15)  # classes


@dataclass(frozen=True)
class Plan:
    """What is reproduced, and where."""

    out: Path
    source: Path | None
    seeds: Sequence[int]
    splits: Sequence[str]
    threads: int
    overrides: Sequence[str]


def omniglot(plan: Plan) -> list[dict]:
    """Do everything; one result per split and seed."""
    data = plan.out / "data"
    source = ["--source", plan.source] if plan.source else []
    logger.info("Preparing Omniglot in %s", data)
    command = [sys.executable, "-m", "data_prep.omniglot", "--out", data, "--sizes", 28, *source]
    run(command, plan.out / "logs" / "data.log", plan.threads)
    return [reproduce(plan, data, split, seed) for seed in plan.seeds for split in plan.splits]


def reproduce(plan: Plan, data: Path, split: str, seed: int) -> dict:
    """Train by the shipped configuration, going on from a last checkpoint, and evaluate."""
    name = f"{split}_{seed}"
    folder = plan.out / name
    record, result = folder / "training_seconds.txt", folder / "result.json"
    if not record.exists():
        logger.info("Training on %s, seed %d", split, seed)
        begin = time.perf_counter()
        run(
            [
                program("fairseq-hydra-train"), "--config-dir", ROOT / "configs",
                "--config-name", CONFIG, f"common.user_dir={PLUGINS}", f"common.seed={seed}",
                f"task.data={data}", f"task.split={split}", f"checkpoint.save_dir={folder}",
                f"hydra.run.dir={folder}/hydra", *plan.overrides,
            ],
            plan.out / "logs" / f"train_{name}.log",
            plan.threads,
        )  # fmt: skip
        record.write_text(f"{time.perf_counter() - begin:.0f}\n")
    if not result.exists():
        script = ROOT / "scripts" / "evaluate_omniglot.py"
        run(
            [
                sys.executable, script, "--data", data, "--split", split,
                "--path", folder / "checkpoint_last.pt", "--showings", *SHOWINGS, "--lifelong",
                "--plots", folder / "plots", "--json", result,
            ],
            plan.out / "logs" / f"evaluate_{name}.log",
            plan.threads,
        )  # fmt: skip
    found = json.loads(result.read_text("utf-8"))
    return found | {"seed": seed, "training_seconds": float(record.read_text())}


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
