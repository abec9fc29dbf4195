"""The steps behind ``make algorithms``; each is skipped if its output exists."""

import json
from collections.abc import Mapping, Sequence

from fairseq_plugins.atomic import write_json
from fairseq_plugins.evaluation.algorithmic import Solver, watch
from fairseq_plugins.evaluation.algorithmic_report import Measures
from fairseq_plugins.evaluation.algorithmic_report import evaluate as measured
from fairseq_plugins.evaluation.spread import Spread, spread
from fairseq_plugins.experiments.workshop import Training, Workshop, mean_minutes
from fairseq_plugins.plots import algorithmic as algorithmic_plots

CONFIG = "algorithms"
TRAINED = 20  # longest length in training, as in the configuration
LENGTHS = (10, 20, 30, 40, 50, 60, 80)
SEQUENCES = 500  # number of sequences of each length
SHOWN = 5  # length of the example in the figure
# Dropout helps to move symbols and harms sums: docs/results.md.
DROPOUT = {"binary_addition": 0.0, "copy": 0.2, "reverse": 0.2}
NAMES = tuple(DROPOUT)


def algorithms(
    workshop: Workshop, names: Sequence[str], seeds: Sequence[int], overrides: Sequence[str]
) -> dict[str, list[dict]]:
    """Train and evaluate; return one result per seed for each algorithm."""
    runs = [(name, seed) for name in names for seed in seeds]
    workshop.train([training(*pair, overrides) for pair in runs])
    return {name: [evaluate(workshop, name, seed) for seed in seeds] for name in names}


def training(name: str, seed: int, overrides: Sequence[str]) -> Training:
    """Return a training from the published configuration."""
    own = [f"common.seed={seed}", f"task.algorithm={name}", f"model.dropout={DROPOUT[name]}"]
    return Training(f"{name}_{seed}", CONFIG, [*own, *overrides])


def evaluate(workshop: Workshop, name: str, seed: int) -> dict:
    """Measure the share of entirely correct sequences, by length."""
    folder = workshop.folder(f"{name}_{seed}")
    result = folder / "result.json"
    if not result.exists():
        solver = Solver(folder / "checkpoint_last.pt")
        algorithmic_plots.states(*watch(solver, SHOWN), folder / "states.png")
        write_json(result, measured(solver, Measures(LENGTHS, sequences=SEQUENCES)).as_json())
    found = json.loads(result.read_text("utf-8"))
    return found | {"seed": seed, "training_seconds": workshop.seconds(folder.name)}


def by_length(results: Sequence[dict]) -> dict[int, Spread]:
    """Return mean and deviation over seeds, in per cent."""
    return {
        length: spread(result["lengths"][str(length)]["sequences"] for result in results)
        for length in LENGTHS
    }


def algorithms_table(results: Mapping[str, Sequence[dict]]) -> str:
    """Return a table with a row for each algorithm."""
    lines = [f"{'correct sequences, %':<20}" + "".join(f"{length:>16}" for length in LENGTHS)]
    for name, own in results.items():
        cells = "".join(f"{cell!s:>16}" for cell in by_length(own).values())
        minutes = mean_minutes(own)
        lines.append(f"{name:<20}{cells}   trained for {minutes:.1f} minutes")
    return "\n".join(lines)


def draw(results: Mapping[str, Sequence[dict]], workshop: Workshop) -> None:
    """Draw the table."""
    lengths = {name: by_length(own) for name, own in results.items()}
    algorithmic_plots.lengths(lengths, TRAINED, workshop.out / "algorithms.png")
