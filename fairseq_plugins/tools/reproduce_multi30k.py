"""The steps behind ``scripts/reproduce_multi30k.py``; each is skipped if its output exists."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import sacrebleu

from fairseq_plugins.tools.commands import PLUGINS, program, read_hypotheses, run
from fairseq_plugins.tools.hypotheses import read_lines
from fairseq_plugins.tools.rare_words import accuracy_by_frequency
from fairseq_plugins.tools.trainings import Training, Workshop, spread

CONFIG = "multi30k_en_de"
AVERAGED = 5  # checkpoints
FILLED_SLOTS = 400_000  # enough for every token of the training text


def multi30k(
    workshop: Workshop,
    source: Path | None,
    archs: Sequence[str],
    seeds: Sequence[int],
    overrides: Sequence[str],
) -> list[dict]:
    """Do everything; one result per model and seed."""
    data = workshop.prepare("multi30k", source)
    runs = [(arch, seed) for seed in seeds for arch in archs]
    workshop.train([training(data, *pair, overrides) for pair in runs])
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
        workshop.script(
            "average_checkpoints", "--dir", folder, "--last", AVERAGED, "--output", model,
            log=f"average_{arch}_{seed}",
        )  # fmt: skip
    if "memory" in arch:
        model = workshop.fill(model, FILLED_SLOTS, "--data", data / "data-bin")
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


def table(results: list[dict]) -> str:
    """Mean and standard deviation over seeds, one line a model."""
    archs = dict.fromkeys(result["arch"] for result in results)
    buckets = list(results[0]["words_right"])
    lines = [f"{'':<14}{'BLEU':>14}{'minutes':>10}" + "".join(f"{name:>9}" for name in buckets)]
    for arch in archs:
        own = [result for result in results if result["arch"] == arch]
        bleu = spread(result["bleu"] for result in own)
        minutes = statistics.mean(result["training_seconds"] for result in own) / 60
        rare = [statistics.mean(result["words_right"][name] for result in own) for name in buckets]
        lines.append(
            f"{arch:<14}{bleu!s:>14}{minutes:>10.1f}" + "".join(f"{value:>9.1f}" for value in rare)
        )
    return "\n".join([*lines, "", f"sacrebleu {results[0]['signature']}"])
