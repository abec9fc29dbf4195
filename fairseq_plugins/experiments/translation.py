"""The steps behind ``make multi30k`` and ``make general``.

Train, average the last checkpoints, fill the memory with the training text, translate, score. Each
step is skipped if its output exists.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fairseq_plugins.atomic import write_text
from fairseq_plugins.checkpoints.averaging import average_checkpoints
from fairseq_plugins.checkpoints.files import last_checkpoints, write_checkpoint
from fairseq_plugins.commands import override, read_hypotheses
from fairseq_plugins.evaluation.hypotheses import Generation, read_lines, translate
from fairseq_plugins.evaluation.scoring import Scorer
from fairseq_plugins.evaluation.spread import spread
from fairseq_plugins.experiments.workshop import Training, Workshop, mean_minutes
from fairseq_plugins.teaching.filled import Filling


@dataclass(frozen=True)
class Experiment:
    """What to train, and what to measure.

    Attributes:
        config: of a file in ``configs/``, without ``.yaml``.
        tests: names of the test texts, by fairseq's subset.
        references: folder of the references, beside ``data-bin``.
        tokenize: sacrebleu's tokenisation.
        filling: how to fill the memory.
        averaged: number of checkpoints to average.
    """

    config: str
    tests: Mapping[str, str]
    references: str
    tokenize: str
    filling: Filling
    averaged: int = 5


MULTI30K = Experiment(
    "multi30k_en_de", {"test": "test_2016_flickr"}, "text", "none",
    # Enough slots for every token of the training text; float32, as in the published numbers.
    Filling(memory_size=400_000, autocast="none"),
)  # fmt: skip
GENERAL = Experiment(
    "general_en_de", {"test": "newstest2014", "test1": "manuals"}, "raw", "13a",
    Filling(memory_size=600_000, memory_write="surprise", memory_surprise=0.1),
    averaged=3,
)  # fmt: skip


def translations(
    experiment: Experiment,
    workshop: Workshop,
    data: Path,
    archs: Sequence[str],
    seeds: Sequence[int],
    overrides: Sequence[str],
) -> list[dict]:
    """Run all steps; return one result per model and seed."""
    runs = [(arch, seed) for seed in seeds for arch in archs]
    workshop.train([training(experiment, data, *pair, overrides) for pair in runs])
    return [evaluate(experiment, workshop, data, *pair) for pair in runs]


def training(
    experiment: Experiment, data: Path, arch: str, seed: int, overrides: Sequence[str]
) -> Training:
    """Return a training from the published configuration."""
    own = [f"common.seed={seed}", override("task.data", data / "data-bin"), f"model._name={arch}"]
    return Training(f"{arch}_{seed}", experiment.config, [*own, *overrides])


def evaluate(experiment: Experiment, workshop: Workshop, data: Path, arch: str, seed: int) -> dict:
    """Average, fill if there is a memory, translate and score."""
    folder = workshop.folder(f"{arch}_{seed}")
    model = folder / "averaged.pt"
    if not model.exists():
        newest = last_checkpoints(folder, experiment.averaged)
        write_checkpoint(average_checkpoints(newest), model)
    if "memory" in arch:
        model = workshop.fill(model, replace(experiment.filling, data=data / "data-bin"))
    return {
        "arch": arch,
        "seed": seed,
        "training_seconds": workshop.seconds(folder.name),
        "tests": {
            name: score(experiment, workshop, data, model, subset)
            for subset, name in experiment.tests.items()
        },
    }


def score(experiment: Experiment, workshop: Workshop, data: Path, model: Path, subset: str) -> dict:
    """Return BLEU, chrF, and correct words by their frequency in training."""
    folder = model.parent
    log = folder / f"generate_{subset}.log"  # removed together with the model
    if not (log.exists() and "Translated" in log.read_text(errors="replace")):
        generation = Generation(
            data / "data-bin", subset,
            threads=workshop.threads, cpu=True, remove_bpe="sentencepiece",
        )  # fmt: skip
        translate(model, generation, log)
    hypotheses = read_hypotheses(read_lines(log))
    write_text(folder / f"{subset}.hyp", "\n".join(hypotheses) + "\n")
    references = read_lines(data / experiment.references / f"{subset}.de")
    text = read_lines(data / "text" / "train.de")
    scorer = Scorer(references, text, experiment.tokenize)
    scores = scorer.score(folder.name, hypotheses)
    return {
        "bleu": round(scores.bleu, 2),
        "chrf": round(scores.chrf, 2),
        "words_right": {bucket.label: round(100 * bucket.accuracy, 1) for bucket in scores.words},
        "signatures": scorer.signatures,
    }


def translations_table(results: Sequence[dict]) -> str:
    """Return mean and standard deviation over seeds, in a row per model for each test."""
    lines = []
    for test, first in results[0]["tests"].items():
        buckets = list(first["words_right"])
        head = f"{test:<20}{'BLEU':>14}{'chrF':>14}{'minutes':>9}"
        lines.append(head + "".join(f"{name:>9}" for name in buckets))
        for arch in dict.fromkeys(result["arch"] for result in results):
            own = [result for result in results if result["arch"] == arch]
            found = [result["tests"][test] for result in own]
            bleu, chrf = (spread(one[name] for one in found) for name in ("bleu", "chrf"))
            minutes = mean_minutes(own)
            words = [statistics.mean(one["words_right"][name] for one in found) for name in buckets]
            lines.append(
                f"{arch:<20}{bleu!s:>14}{chrf!s:>14}{minutes:>9.1f}"
                + "".join(f"{value:>9.1f}" for value in words)
            )
        lines += [f"sacrebleu {signature}" for signature in first["signatures"].values()] + [""]
    return "\n".join(lines)
