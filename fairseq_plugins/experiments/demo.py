"""The demonstration: two small translators, one of which remembers.

Everything a user would do by hand, in order, with the commands shown: make a corpus, train with
and without memory, translate, compare, and teach the finished translator new names.
"""

import json
import logging
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import sacrebleu
import torch
from tqdm import tqdm

from fairseq_plugins.atomic import write_json
from fairseq_plugins.commands import (
    PLUGINS,
    end,
    launch,
    program,
    read_hypotheses,
    run,
    wait,
)
from fairseq_plugins.errors import InputError
from fairseq_plugins.evaluation.hypotheses import read_lines
from fairseq_plugins.evaluation.rare_words import accuracy_by_frequency
from fairseq_plugins.number_formats import native_bfloat16
from fairseq_plugins.teaching.filled import Filling, fill_checkpoint

logger = logging.getLogger(__name__)

ARCHITECTURES = ("gnmt_tiny", "gnmt_memory_tiny")
NAMES = {"gnmt_tiny": "without memory", "gnmt_memory_tiny": "with memory"}


@dataclass(frozen=True)
class Plan:
    """Where the demonstration works, and how much."""

    out: Path
    updates: int
    seed: int
    threads: int


@dataclass(frozen=True)
class Recall:
    """One name that was taught with one sentence, and used in another one."""

    name: str
    translation: str
    taught: str
    source: str
    reference: str
    before: str
    after: str

    @property
    def remembered(self) -> bool:
        """The right name is in the translation made after teaching."""
        return self.translation in self.after.split()


def make_corpus(plan: Plan) -> Path:
    """An invented language pair with a long tail of names; returns its folder."""
    _same_as_before(plan)
    out = plan.out / "corpus"
    command = [sys.executable, "-m", "data_prep.toy_corpus", "--out", out, "--seed", str(plan.seed)]
    run(command, plan.out / "logs" / "corpus.log", plan.threads)
    return out


def train(plan: Plan, corpus: Path) -> None:
    """Train both translators side by side, the same but for the memory."""
    started = []
    for arch in ARCHITECTURES:
        folder = plan.out / arch
        if (folder / "checkpoint_last.pt").exists() and _finished(plan, arch):
            logger.info("%s is trained already", arch)
            continue
        command = train_command(plan, corpus, arch)
        log = plan.out / "logs" / f"train_{arch}.log"
        started.append((launch(command, log, max(1, plan.threads // 2)), log))
    try:
        _show_progress(started, plan.updates)
        failed = [pair for pair in started if pair[0].poll() not in (None, 0)]
        for process, log in failed or started:
            wait(process, log)
    finally:
        end(*(process for process, _ in started))


def _same_as_before(plan: Plan) -> None:
    """Another seed makes another language, of which the translators know nothing."""
    settings, path = {"seed": plan.seed, "updates": plan.updates}, plan.out / "settings.json"
    if path.exists() and json.loads(path.read_text()) != settings:
        raise InputError(
            f"{plan.out}: was made with another --seed or --updates; remove it, or choose another "
            "--out"
        )
    write_json(path, settings)


def train_command(plan: Plan, corpus: Path, arch: str) -> list[object]:
    """What a user would type."""
    return [
        program("fairseq-train"), corpus / "data-bin", "--user-dir", PLUGINS,
        "--task", "translation_memory", "--source-lang", "xx", "--target-lang", "yy",
        "--arch", arch, "--dropout", "0.2",
        "--criterion", "memory_cross_entropy", "--label-smoothing", "0.1",
        "--optimizer", "adam", "--adam-betas", "(0.9, 0.98)", "--lr", "0.004",
        "--lr-scheduler", "tri_stage", "--phase-ratio", "(0.04, 0.5, 0.46)",
        "--final-lr-scale", "0.02", "--clip-norm", "1.0",
        "--batch-size", "64", "--max-update", str(plan.updates), "--seed", str(plan.seed),
        "--save-dir", plan.out / arch, "--no-epoch-checkpoints", "--num-workers", "0",
        "--log-format", "json", "--log-interval", "20", "--cpu",
        "--autocast", "bfloat16" if native_bfloat16() else "none",
    ]  # fmt: skip


def _finished(plan: Plan, arch: str) -> bool:
    log = plan.out / "logs" / f"train_{arch}.log"
    return log.exists() and "done training" in log.read_text(errors="replace")


def _show_progress(started: list[tuple[subprocess.Popen, Path]], updates: int) -> None:
    """One bar for all trainings, read from their logs."""
    if not started:
        return
    with tqdm(total=updates * len(started), desc="Training", unit=" updates") as bar:
        while any(process.poll() is None for process, _ in started):
            time.sleep(1)
            bar.update(sum(_updates(log) for _, log in started) - bar.n)
            if any(process.poll() not in (None, 0) for process, _ in started):
                return


def _updates(log: Path) -> int:
    done = re.findall(r'"num_updates": "(\d+)"', log.read_text(errors="replace"))
    return max(map(int, done), default=0)


def translate(plan: Plan, corpus: Path, checkpoint: Path, subset: str) -> list[str]:
    """Translations by ``fairseq-generate``, in the order of the corpus."""
    log = plan.out / "logs" / f"generate_{checkpoint.parent.name}_{checkpoint.stem}_{subset}.log"
    run(
        [
            program("fairseq-generate"), corpus / "data-bin", "--user-dir", PLUGINS,
            "--task", "translation_memory", "--source-lang", "xx", "--target-lang", "yy",
            "--path", checkpoint, "--gen-subset", subset, "--beam", "5",
            "--batch-size", "100", "--required-batch-size-multiple", "1", "--cpu",
        ],
        log,
        plan.threads,
    )  # fmt: skip
    return read_hypotheses(log.read_text(encoding="utf-8").splitlines())


def compare(plan: Plan, corpus: Path) -> str:
    """A table: BLEU, and names right by how often they occur in training."""
    references = read_lines(corpus / "raw" / "test.yy")
    training = read_lines(corpus / "raw" / "train.yy")
    rows, buckets = [], []
    for arch in ARCHITECTURES:
        hypotheses = translate(plan, corpus, plan.out / arch / "checkpoint_best.pt", "test")
        bleu = sacrebleu.corpus_bleu(hypotheses, [references], tokenize="none", force=True)
        buckets = accuracy_by_frequency(hypotheses, references, training)
        accuracies = "".join(f"{100 * bucket.accuracy:8.1f}" for bucket in buckets)
        rows.append(f"  {NAMES[arch]:<16}{bleu.score:6.1f}   {accuracies}")
    heads = "".join(f"{bucket.label:>8}" for bucket in buckets)
    title = "Words right (%), by occurrences in training"
    return "\n".join([f"  {'':<16}{'BLEU':>6}      {title}", f"  {'':<25}{heads}", *rows])


def teach(plan: Plan, corpus: Path) -> list[Recall]:
    """Write one sentence for each new name into the memory; translate others before and after."""
    model = plan.out / "gnmt_memory_tiny" / "checkpoint_best.pt"
    taught = model.with_name("taught.pt")
    before = translate(plan, corpus, model, "test2")
    torch.set_num_threads(plan.threads)
    fill_checkpoint(model, taught, Filling(corpus / "data-bin", split="test1"))
    after = translate(plan, corpus, taught, "test2")
    pairs = [line.split("\t") for line in read_lines(corpus / "held_out_pairs.tsv")[1:]]
    return [
        Recall(name, translation, lesson, source, reference, old, new)
        for (name, translation, lesson, _, source, reference), old, new in zip(
            pairs, before, after, strict=True
        )
    ]
