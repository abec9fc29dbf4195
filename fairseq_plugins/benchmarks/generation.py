"""Translation with a large memory: the ways of searching it take turns at the same sentences."""

import itertools
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sacrebleu
import torch
from fairseq import checkpoint_utils
from fairseq.data.data_utils import post_process
from fairseq.dataclass.configs import GenerationConfig
from omegaconf import OmegaConf

from fairseq_plugins import registered  # noqa: F401, so that fairseq builds our models
from fairseq_plugins.benchmarks.duel import Stopwatch, Turn
from fairseq_plugins.errors import InputError
from fairseq_plugins.memory import memories_in
from fairseq_plugins.progress import Progress

EMPTIED = "emptied"


@dataclass(frozen=True)
class Work:
    """What to translate, and how.

    Attributes:
        path: checkpoint of a translator with a memory.
        data: folder written by fairseq-preprocess.
        subset: part of the data.
        sentences: greatest number of sentences.
        batch_size: number of sentences that are translated at once.
        turn: number of batches of a turn.
        beam: hypotheses per sentence.
        remove_bpe: subword segmentation to undo before scoring; None if there is none.
    """

    path: Path
    data: Path
    subset: str = "test"
    sentences: int = 1000
    batch_size: int = 1
    turn: int = 20
    beam: int = 5
    remove_bpe: str | None = "sentencepiece"


def ways(recall: float, sure: float) -> dict[str, dict[str, Any]]:
    """Return what is compared, by name: options of the model."""
    ivf = {"memory_search": "ivf", "memory_recall": recall, "memory_sure": 1.0}
    return {
        EMPTIED: {"memory_search": "exact", "memory_sure": 1.0},
        "exact": {"memory_search": "exact", "memory_sure": 1.0},
        f"exact, sure {sure}": {"memory_search": "exact", "memory_sure": sure},
        f"ivf, recall {recall}": ivf,
        f"ivf, recall {recall}, sure {sure}": ivf | {"memory_sure": sure},
    }


class Translating:
    """A contender that translates as ``fairseq-generate`` does, on the CPU.

    Args:
        name: one of :func:`ways`; ``emptied`` has an empty memory.
        options: of the model.
        work: to do.
    """

    def __init__(self, name: str, options: Mapping[str, Any], work: Work) -> None:
        self.name, self.work = name, work
        overrides = dict(options) | {"data": str(work.data)}
        (self.model,), cfg, self.task = checkpoint_utils.load_model_ensemble_and_task(
            [str(work.path)], arg_overrides=overrides
        )
        memories = memories_in(self.model)
        if not memories:
            raise InputError(f"{work.path}: has no memory; give a checkpoint that has one")
        if name == EMPTIED:
            memories[0].clear()
        self.model.eval().prepare_for_inference_(cfg)
        generation = OmegaConf.structured(GenerationConfig(beam=work.beam))
        self.generator = self.task.build_generator([self.model], generation)
        self.turns: list[Turn] = []
        self.texts: dict[int, str] = {}

    def samples(self) -> list[dict]:
        """Return all batches, in a random order that is always the same."""
        self.task.load_dataset(self.work.subset)
        batches = self.task.get_batch_iterator(
            self.task.dataset(self.work.subset), max_sentences=self.work.batch_size, seed=1
        ).next_epoch_itr(shuffle=True)
        return list(itertools.islice(batches, -(-self.work.sentences // self.work.batch_size)))

    def translate(self, samples: Sequence[dict]) -> None:
        """Take a turn."""
        with Stopwatch("cpu") as watch:
            found = [
                self.task.inference_step(self.generator, [self.model], sample) for sample in samples
            ]
        self.turns.append(Turn(watch.seconds, sum(sample["nsentences"] for sample in samples)))
        for sample, hypotheses in zip(samples, found, strict=True):
            best = (self.text(one[0]["tokens"]) for one in hypotheses)
            self.texts |= zip(sample["id"].tolist(), best, strict=True)

    def text(self, tokens: torch.Tensor) -> str:
        """Return the words of tokens [T]."""
        words = self.task.target_dictionary.string(tokens.int())
        return post_process(words, self.work.remove_bpe)


@dataclass(frozen=True)
class Result:
    """How fast and how well a way translates.

    Attributes:
        name: of the way.
        first: seconds of the first turn, in which an index is made and its effort chosen.
        rate: sentences per second, the median of all other turns.
        speed: relative to the emptied memory, the median over the same turns.
        bleu: of all sentences.
        same: share of translations that are those with exact search.
    """

    name: str
    first: float
    rate: float
    speed: float
    bleu: float
    same: float


def measure(work: Work, compared: Mapping[str, Mapping[str, Any]]) -> list[Result]:
    """Let all ways translate the same batches in turns, alternating who begins.

    Args:
        work: to do; there must be at least two turns.
        compared: names and options as in :func:`ways`, among them ``emptied`` and ``exact``.

    Raises:
        InputError: if the checkpoint has no memory, or there are too few sentences.
    """
    everyone = {name: Translating(name, options, work) for name, options in compared.items()}
    samples = everyone[EMPTIED].samples()
    turns = [samples[n : n + work.turn] for n in range(0, len(samples), work.turn)]
    if len(turns) < 2:
        raise InputError(
            f"{work.data}: {len(samples)} batches are a single turn; use smaller batches or turns"
        )
    with Progress(total=len(turns), desc="turns", unit=" turns") as bar:
        for number, turn in enumerate(turns):
            for one in list(everyone.values())[:: -1 if number % 2 else 1]:
                one.translate(turn)
            bar.update()
    return [_result(one, everyone, samples) for one in everyone.values()]


def _result(one: Translating, everyone: Mapping[str, Translating], samples: list[dict]) -> Result:
    pairs = list(zip(one.turns, everyone[EMPTIED].turns, strict=True))[1:]
    numbers = [number for sample in samples for number in sample["id"].tolist()]
    pad = one.task.target_dictionary.pad()
    references = [
        one.text(target[target != pad]) for sample in samples for target in sample["target"]
    ]
    texts, exact = ([each.texts[n] for n in numbers] for each in (one, everyone["exact"]))
    return Result(
        one.name,
        one.turns[0].seconds,
        statistics.median(turn.speed for turn in one.turns[1:]),
        statistics.median(own.speed / empty.speed for own, empty in pairs),
        sacrebleu.corpus_bleu(texts, [references], tokenize="none", force=True).score,
        sum(map(str.__eq__, texts, exact)) / len(texts),
    )


def table(results: Sequence[Result]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| memory | sentences/s | speed | BLEU | as with exact search | first turn, s |"
    yield "| --- " + "| ---: " * 5 + "|"
    for one in results:
        yield (
            f"| {one.name} | {one.rate:,.1f} | {one.speed:.2f} | {one.bleu:.2f} "
            f"| {one.same:.1%} | {one.first:.1f} |"
        )
