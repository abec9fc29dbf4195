"""The steps behind ``make omniglot``; each is skipped if its output exists."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fairseq_plugins.atomic import write_json
from fairseq_plugins.commands import override
from fairseq_plugins.evaluation.omniglot import HEADINGS, Drawings, Measures
from fairseq_plugins.evaluation.omniglot import evaluate as measured
from fairseq_plugins.evaluation.spread import spread
from fairseq_plugins.experiments.workshop import Training, Workshop, mean_minutes
from fairseq_plugins.modules.one_shot import VOTE
from fairseq_plugins.plots import omniglot as omniglot_plots

CONFIG = "omniglot_vinyals"


@dataclass(frozen=True)
class Plan:
    """Amount of training, and what to measure.

    Attributes:
        updates: number of updates of a training.
        longer: number of updates for the splits that need more.
        measures: what is measured.
    """

    updates: int
    longer: Mapping[str, int]
    measures: Measures


OFFICIAL = "background-evaluation"
SPLITS = ("vinyals", OFFICIAL)
# With fewer characters to train on, as in the official split, longer training still helps.
WHOLE = Plan(10_000, {OFFICIAL: 24_000}, Measures(showings=(5, 15), lifelong=True, views=25))
QUICK = Plan(1_500, {}, Measures())


def omniglot(
    workshop: Workshop,
    plan: Plan,
    data: Path,
    splits: Sequence[str],
    seeds: Sequence[int],
    overrides: Sequence[str],
) -> list[dict]:
    """Run all steps; return one result per split and seed.

    Args:
        workshop: where trainings run.
        plan: amount of training, and what to measure.
        data: folder created by data_prep.omniglot.
        splits: of the characters.
        seeds: one training for each.
        overrides: changes to the configuration, in hydra's syntax.
    """
    runs = [(split, seed) for seed in seeds for split in splits]
    workshop.train([training(data, plan, *pair, overrides) for pair in runs])
    return [evaluate(workshop, data, plan, split, seed) for split, seed in runs]


def training(data: Path, plan: Plan, split: str, seed: int, overrides: Sequence[str]) -> Training:
    """Return a training from the published configuration."""
    updates = plan.longer.get(split, plan.updates)
    own = [
        f"common.seed={seed}", override("task.data", data), f"task.split={split}",
        f"optimization.max_update={updates}", f"lr_scheduler.total_num_update={updates}",
    ]  # fmt: skip
    return Training(f"{split}_{seed}", CONFIG, [*own, *overrides])


def evaluate(workshop: Workshop, data: Path, plan: Plan, split: str, seed: int) -> dict:
    """Evaluate on characters that were not trained on."""
    name = f"{split}_{seed}"
    folder = workshop.folder(name)
    result = folder / "result.json"
    if not result.exists():
        last = folder / "checkpoint_last.pt"
        report = measured(last, Drawings(data, split), plan.measures)
        omniglot_plots.draw(report, folder / "plots")
        write_json(result, report.as_json())
    found = json.loads(result.read_text("utf-8"))
    return found | {"seed": seed, "training_seconds": workshop.seconds(name)}


def omniglot_table(results: Sequence[dict]) -> str:
    """Return mean and standard deviation over seeds, in a row for each split."""
    protocols = list(results[0]["few_shot"])
    lines = [f"Correct answers in %; {HEADINGS[results[0].get('rule', VOTE)]}."]
    lines += [f"{'':<24}{'minutes':>8}" + "".join(f"{name:>16}" for name in protocols)]
    for split in dict.fromkeys(result["split"] for result in results):
        own = [result for result in results if result["split"] == split]
        minutes = mean_minutes(own)
        line = f"{split:<24}{minutes:>8.1f}"
        for name in protocols:
            found = spread(result["few_shot"][name]["mean"] for result in own)
            line += f"{found!s:>16}"
        lines.append(line)
    return "\n".join(lines)
