"""The demo: two small translators, one with a memory.

It does what a user would do by hand: create a corpus, train with and without a memory, fill the
memory, translate, compare, and teach the finished translator new names. Steps that do not depend on
each other run in parallel, so that no core is idle.
"""

import json
import logging
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from fairseq_plugins.atomic import write_json
from fairseq_plugins.commands import PLUGINS, launch, program, read_hypotheses, run, together, wait
from fairseq_plugins.errors import InputError
from fairseq_plugins.evaluation.hypotheses import Generation, read_lines
from fairseq_plugins.evaluation.hypotheses import translate as generate
from fairseq_plugins.evaluation.scoring import Scorer, Scores
from fairseq_plugins.progress import Progress
from fairseq_plugins.teaching import Translator
from fairseq_plugins.teaching.filled import Filling, fill_checkpoint
from fairseq_plugins.teaching.folder import pack

logger = logging.getLogger(__name__)

PLAIN, REMEMBERING = "gnmt_tiny", "gnmt_memory_tiny"
NAMES = {PLAIN: "without memory", REMEMBERING: "with memory"}
LOOK_EVERY = 0.5  # seconds
TOLD = 0.5  # least share of a word's probability for its lesson to be told

# float32 gives the same numbers on every processor, except for the order of sums.
AUTOCAST = "none"
# A small language that is learned in a minute; most of its names occur once or never.
LANGUAGE = ("--words", "15", "--names", "2000", "--train", "8000")
TRAINING = [
    "--criterion", "memory_cross_entropy", "--dropout", "0.1",
    # A softmax that shares its weights with the embeddings learns three times as fast.
    "--share-decoder-input-output-embed",
    "--optimizer", "adam", "--adam-betas", "(0.9, 0.98)", "--lr", "0.004", "--clip-norm", "1.0",
    # With the default, 1e-8, Adam moves the embeddings of rare words, which are in few batches, as
    # far as those of frequent ones, all in one direction, and the attention forms later.
    "--adam-eps", "1e-4",
    "--lr-scheduler", "tri_stage", "--phase-ratio", "(0.1, 0.5, 0.4)", "--final-lr-scale", "0.02",
    "--batch-size", "32",
    "--autocast", AUTOCAST,
]  # fmt: skip
# At most 2 words for each source word, and 5: a network of this size does not always find an end,
# and one endless sentence costs a point of BLEU.
LENGTH = ("--max-len-a", "2", "--max-len-b", "5")
UPDATES = re.compile(r'"num_updates": "(\d+)"')


@dataclass(frozen=True)
class Plan:
    """Folders and amounts of the demo.

    Attributes:
        out: folder for all output.
        updates: number of updates of each training.
        seed: of the language and of the trainings.
        threads: number of processor cores.
        language: options of ``data_prep.toy_corpus``.
    """

    out: Path
    updates: int
    seed: int
    threads: int
    language: Sequence[str] = LANGUAGE

    @property
    def corpus(self) -> Path:
        """Folder of the invented language."""
        return self.out / "corpus"

    @property
    def data(self) -> Path:
        """Folder with the binarised corpus."""
        return self.corpus / "data-bin"

    def log(self, name: str) -> Path:
        """Return the log of a command."""
        return self.out / "logs" / f"{name}.log"

    def trained(self, arch: str) -> Path:
        """Return the last checkpoint of a training."""
        return self.out / arch / "checkpoint_last.pt"

    @property
    def filled(self) -> Path:
        """Checkpoint with a memory of the whole training text."""
        return self.out / REMEMBERING / "filled.pt"

    @property
    def taught(self) -> Path:
        """The same checkpoint after the lessons."""
        return self.out / REMEMBERING / "taught.pt"

    @property
    def translator(self) -> Path:
        """Translator folder, made from the checkpoint before the lessons."""
        return self.out / "translator"


@dataclass(frozen=True)
class Recall:
    """A name that was taught in one sentence and asked for in another one."""

    name: str
    translation: str
    taught: str
    taught_target: str
    source: str
    reference: str
    before: str
    after: str

    @property
    def remembered(self) -> bool:
        """Whether the translation after teaching contains the correct name."""
        return self.translation in self.after.split()


@dataclass(frozen=True)
class Conversation:
    """What a translator says about one sentence: before a lesson, after it, and once forgotten.

    Attributes:
        before: translation before the lesson.
        after: translation after it.
        why: for each new word of the later translation that the lesson explains, the word and the
            share of its probability that came from the lesson.
        forgotten: translation after the lesson was forgotten.
    """

    before: str
    after: str
    why: list[tuple[str, float]]
    forgotten: str


def demonstrate(plan: Plan) -> tuple[dict[str, Scores], list[Recall]]:
    """Create a corpus, train, fill, translate and teach.

    Returns:
        The scores of both translators, by architecture, and the result for each taught name.

    Raises:
        InputError: if a command fails, or ``plan.out`` was created with other settings.
    """
    _same_as_before(plan)
    logger.info("1/3 Making a corpus of an invented language")
    make_corpus(plan)
    logger.info("2/3 Training two translators, one without and one with a memory (minutes)")
    with Progress(total=len(NAMES) * plan.updates, desc="Training", unit=" updates") as bar:

        def without(threads: int) -> list[str]:
            train(plan, PLAIN, threads, bar)
            return translate(plan, plan.trained(PLAIN), "test", threads)

        def remembering(threads: int) -> None:
            train(plan, REMEMBERING, threads, bar)
            fill(plan, threads)

        plain, _ = _side_by_side(plan.threads, without, remembering)
    logger.info("3/3 Translating test sentences, and teaching new names in one sentence each")
    filled, recalls = _side_by_side(
        plan.threads, partial(translate, plan, plan.filled, "test"), partial(teach, plan)
    )
    return compare(plan, {PLAIN: plain, REMEMBERING: filled}), recalls


def make_corpus(plan: Plan) -> None:
    """Create an invented language pair with a long tail of names."""
    command = [sys.executable, "-m", "data_prep.toy_corpus", "--out", plan.corpus]
    run([*command, *plan.language, "--seed", plan.seed], plan.log("corpus"), plan.threads)


def train(plan: Plan, arch: str, threads: int, bar: Progress) -> None:
    """Train a translator, unless it is already trained; ``bar`` shows its updates."""
    log, shown = plan.log(f"train_{arch}"), 0
    if plan.trained(arch).exists() and "done training" in _text(log):
        logger.info("%s is already trained", arch)
        bar.update(plan.updates)
        return
    process = launch(train_command(plan, arch), log, threads)
    while process.poll() is None:
        time.sleep(LOOK_EVERY)
        done = max(map(int, UPDATES.findall(_text(log))), default=0)
        bar.update(done - shown)
        shown = done
    wait(process, log)


def train_command(plan: Plan, arch: str) -> list[object]:
    """Return the command that a user would type."""
    # A network that has learned the grammar asks the memory for what it cannot know itself.
    joins = ["--memory-from-update", plan.updates // 2] if arch == REMEMBERING else []
    return [
        program("fairseq-train"), plan.data, "--user-dir", PLUGINS,
        "--task", "translation_memory", "--source-lang", "xx", "--target-lang", "yy",
        "--arch", arch, *joins, *TRAINING,
        "--max-update", plan.updates, "--seed", plan.seed, "--save-dir", plan.out / arch,
        "--no-epoch-checkpoints", "--disable-validation", "--num-workers", "0",
        "--log-format", "json", "--log-interval", "20", "--cpu",
    ]  # fmt: skip


def fill(plan: Plan, threads: int) -> None:
    """Write all rare words of the training text to the memory, in all their sentences."""
    torch.set_num_threads(threads)
    filling = Filling(
        plan.data, clear=True, memory_size=20_000, memory_write="rare", calibrate="valid",
        autocast=AUTOCAST,
    )  # fmt: skip
    logger.info("%s", fill_checkpoint(plan.trained(REMEMBERING), plan.filled, filling))


def teach(plan: Plan, threads: int) -> list[Recall]:
    """Teach each new name in one sentence; translate other sentences before and after."""
    torch.set_num_threads(threads)
    lessons = Filling(plan.data, split="test1", teach=True, autocast=AUTOCAST)
    fill_checkpoint(plan.filled, plan.taught, lessons)
    before, after = (translate(plan, one, "test2", threads) for one in (plan.filled, plan.taught))
    pairs = [line.split("\t") for line in read_lines(plan.corpus / "held_out_pairs.tsv")[1:]]
    return [
        Recall(name, translation, source, target, asked, reference, old, new)
        for (name, translation, source, target, asked, reference), old, new in zip(
            pairs, before, after, strict=True
        )
    ]


def converse(plan: Plan, recall: Recall) -> Conversation:
    """Pack the translator for use, and teach it one lesson as a user would, from Python."""
    if not plan.translator.exists():  # it may have lessons of the user
        pack(plan.filled, plan.data, None, plan.translator)
    with Translator.open(plan.translator) as translator:
        before = translator.translate(recall.source)
        lesson = translator.teach(recall.taught, recall.taught_target)
        after = translator.explain(recall.source)
        translator.forget(lesson.id)
        forgotten = translator.translate(recall.source)
    old = before.text.split()
    why = [
        (word.text, share) for word in after.words if word.text not in old
        and (share := sum(one.weight for one in word.evidence if one.lesson == lesson.id)) > TOLD
    ]  # fmt: skip
    return Conversation(before.text, after.text, why, forgotten.text)


def translate(plan: Plan, checkpoint: Path, subset: str, threads: int) -> list[str]:
    """Return translations by ``fairseq-generate``, in the order of the corpus."""
    how = Generation(plan.data, subset, threads=threads, cpu=True, options=LENGTH)
    log = plan.log(f"generate_{checkpoint.parent.name}_{checkpoint.stem}_{subset}")
    return read_hypotheses(_text(generate(checkpoint, how, log)).splitlines())


def compare(plan: Plan, translations: dict[str, list[str]]) -> dict[str, Scores]:
    """Score translations of the test text, by architecture."""
    raw = plan.corpus / "raw"
    scorer = Scorer(read_lines(raw / "test.yy"), read_lines(raw / "train.yy"), tokenize="none")
    return {arch: scorer.score(NAMES[arch], texts) for arch, texts in translations.items()}


def table(scores: Sequence[Scores]) -> str:
    """Return a table of BLEU, and of correct words by their frequency in training."""
    labels = [bucket.label for bucket in scores[0].words]
    rows = [
        f"{one.name:<16}{one.bleu:6.1f}  "
        + "".join(f"{100 * bucket.accuracy:8.1f}" for bucket in one.words)
        for one in scores
    ]
    return "\n".join([
        f"{'':<16}{'BLEU':>6}     correct words (%), by occurrences in the training text",
        f"{'':<24}" + "".join(f"{label:>8}" for label in labels),
        *rows,
    ])  # fmt: skip


def example(of: Sequence[Recall]) -> Recall:
    """Return the first recall whose translation equals the reference, or simply the first one."""
    return next((recall for recall in of if recall.after == recall.reference), of[0])


def next_steps(plan: Plan) -> dict[str, str]:
    """Return commands for a shell in the current folder, by their purpose."""
    memory, folder = _typed(program("fairseq-memory")), _typed(plan.translator)
    python, another = _typed(sys.executable), f"{plan.out}-{plan.seed + 1}"
    return {
        "Translate sentences that you type, for instance the one above:":
            f"{memory} translate {folder}",
        "Teach it on a page in your browser:": f"{memory} serve {folder}",
        "See what the memory holds:": f"{memory} inspect {_typed(plan.taught)}",
        "Repeat the demo with another language:":
            f"{python} scripts/demo.py --seed {plan.seed + 1} --out {_typed(another)}",
    }  # fmt: skip


def _typed(path: Path | str) -> str:
    """Return a path as a user would type it in the current folder."""
    return shlex.quote(os.path.relpath(path))


def _side_by_side(threads: int, *jobs: Callable[[int], Any]) -> list[Any]:
    """Run jobs in parallel, each with its share of the threads; with one thread, in turn."""
    share = max(1, threads // len(jobs))
    return together([partial(job, share) for job in jobs], min(threads, len(jobs)))


def _same_as_before(plan: Plan) -> None:
    """Raise an error if the folder was created with other settings."""
    settings = {"language": list(plan.language), "training": TRAINING, "updates": plan.updates,
                "seed": plan.seed}  # fmt: skip
    path = plan.out / "settings.json"
    if path.exists() and json.loads(path.read_text()) != settings:
        raise InputError(
            f"{plan.out}: was created with other settings; remove it, or choose another --out"
        )
    write_json(path, settings)


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
