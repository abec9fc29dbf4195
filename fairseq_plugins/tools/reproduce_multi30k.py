"""The steps behind ``scripts/reproduce_multi30k.py``; each is skipped if its output exists."""

import logging
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sacrebleu

from fairseq_plugins.tools.commands import PLUGINS, program, read_hypotheses, run
from fairseq_plugins.tools.hypotheses import read_lines
from fairseq_plugins.tools.rare_words import accuracy_by_frequency
from fairseq_plugins.tools.trainings import ROOT, Training, Workshop

logger = logging.getLogger(__name__)

CONFIG = "multi30k_en_de"
AVERAGED = 5  # checkpoints
FILLED_SLOTS = 400_000  # enough for every token of the training text


@dataclass(frozen=True)
class Plan:
    """What is reproduced, and where."""

    workshop: Workshop
    source: Path | None
    seeds: Sequence[int]
    archs: Sequence[str]
    overrides: Sequence[str]


def multi30k(plan: Plan) -> list[dict]:
    """Do everything; one result per model and seed."""
    workshop = plan.workshop
    data = workshop.out / "data"
    source = ["--source", plan.source] if plan.source else []
    command = [sys.executable, "-m", "data_prep.multi30k", "--out", data, *source]
    logger.info("Preparing Multi30k in %s", data)
    run(command, workshop.log("data"), workshop.threads)
    runs = [(arch, seed) for seed in plan.seeds for arch in plan.archs]
    workshop.train([training(data, *pair, plan.overrides) for pair in runs])
    return [evaluate(workshop, data, arch, seed) for arch, seed in runs]


def training(data: Path, arch: str, seed: int, overrides: Sequence[str]) -> Training:
    """One by the shipped configuration."""
    own = [f"common.seed={seed}", f"task.data={data / 'data-bin'}", f"model._name={arch}"]
    return Training(f"{arch}_{seed}", CONFIG, [*own, *overrides])


def evaluate(workshop: Workshop, data: Path, arch: str, seed: int) -> dict:
    """Average, fill if there is a memory, translate, score."""
    folder = workshop.folder(f"{arch}_{seed}")
    model = folder / "averaged.pt"
    if not model.exists():
        script = ROOT / "scripts" / "average_checkpoints.py"
        command = [sys.executable, script, "--dir", folder, "--last", AVERAGED, "--output", model]
        run(command, workshop.log(f"average_{arch}_{seed}"), workshop.threads)
    if "memory" in arch:
        model = fill(workshop, data, model, workshop.log(f"fill_{arch}_{seed}"))
    log = workshop.log(f"generate_{arch}_{seed}")
    if not (log.exists() and "Translated" in log.read_text(errors="replace")):
        command = [
            program("fairseq-generate"), data / "data-bin", "--user-dir", PLUGINS,
            "--task", "translation_memory", "--source-lang", "en", "--target-lang", "de",
            "--path", model, "--gen-subset", "test", "--beam", 5, "--batch-size", 100,
            "--required-batch-size-multiple", 1, "--remove-bpe", "sentencepiece", "--cpu",
        ]  # fmt: skip
        run(command, log, workshop.threads)
    hypotheses = read_hypotheses(read_lines(log))
    (folder / "test.hyp").write_text("\n".join(hypotheses) + "\n", encoding="utf-8")
    references = read_lines(data / "text" / "test.de")
    metric = sacrebleu.BLEU(tokenize="none", force=True)
    bleu = metric.corpus_score(hypotheses, [references]).score
    training = read_lines(data / "text" / "train.de")
    return {
        "arch": arch,
        "seed": seed,
        "bleu": round(bleu, 2),
        "signature": str(metric.get_signature()),
        "training_seconds": workshop.seconds(folder.name),
        "words_right": {
            bucket.label: round(100 * bucket.accuracy, 1)
            for bucket in accuracy_by_frequency(hypotheses, references, training)
        },
    }


def fill(workshop: Workshop, data: Path, model: Path, log: Path) -> Path:
    """The whole training text in the memory, and a gate that knows how far to trust it."""
    filled = model.with_name("filled.pt")
    if not filled.exists():
        script = ROOT / "scripts" / "fill_memory.py"
        run(
            [
                sys.executable, script, "--path", model, "--data", data / "data-bin", "--clear",
                "--memory-size", FILLED_SLOTS, "--calibrate", "valid", "--output", filled, "--cpu",
            ],
            log,
            workshop.threads,
        )  # fmt: skip
    return filled


def table(results: list[dict]) -> str:
    """Mean and standard deviation over seeds, one line a model."""
    archs = dict.fromkeys(result["arch"] for result in results)
    buckets = list(results[0]["words_right"])
    lines = [f"{'':<14}{'BLEU':>14}{'minutes':>10}" + "".join(f"{name:>9}" for name in buckets)]
    for arch in archs:
        own = [result for result in results if result["arch"] == arch]
        bleus = [result["bleu"] for result in own]
        spread = statistics.stdev(bleus) if len(own) > 1 else 0.0
        minutes = statistics.mean(result["training_seconds"] for result in own) / 60
        rare = [statistics.mean(result["words_right"][name] for result in own) for name in buckets]
        lines.append(
            f"{arch:<14}{statistics.mean(bleus):>7.2f} ± {spread:.2f}{minutes:>10.1f}"
            + "".join(f"{value:>9.1f}" for value in rare)
        )
    return "\n".join([*lines, "", f"sacrebleu {results[0]['signature']}"])
