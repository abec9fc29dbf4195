"""Translators on a generated corpus, as timed by the benchmarks of training and decoding.

The corpus is written as ``fairseq-preprocess`` would write it, the options are those of
``fairseq-train``, and fairseq's own ``Trainer`` and ``SequenceGenerator`` do the work.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fairseq import utils
from fairseq.data import Dictionary, data_utils, indexed_dataset
from torch import Tensor

from fairseq_plugins.benchmarks.duel import Stopwatch, Turn
from fairseq_plugins.benchmarks.memory import fill
from fairseq_plugins.benchmarks.training import SEED, Built, Trained
from fairseq_plugins.memory import KeyValueMemory

SHORTEST, LONGEST, MEAN_LENGTH = 5, 40, 20  # words per sentence
SPECIALS = 4  # entries of every dictionary that are not words
LOSSES = {
    "ours": "memory_cross_entropy",
    "fairseq's": "label_smoothed_cross_entropy",  # the same value, computed in another way
}


def make_corpus(folder: Path, sentences: int, vocabulary: int) -> None:
    """Write a binarised corpus with realistic word frequencies and sentence lengths.

    Frequencies follow Zipf's law; lengths a gamma distribution between 5 and 40 words. The target
    has a word for every word of the source, in another order.

    Args:
        folder: for the corpus.
        sentences: number of sentences.
        vocabulary: number of entries of the dictionary that both languages share.
    """
    numbers = np.random.default_rng(SEED)
    words = vocabulary - SPECIALS
    frequency = 1 / np.arange(1, words + 1)
    dictionary = Dictionary()
    for word in range(words):
        dictionary.add_symbol(f"w{word}", n=words - word)
    shape = 4.0  # of the gamma distribution; the mean is shape x scale
    lengths = numbers.gamma(shape, MEAN_LENGTH / shape, sentences).astype(int)
    lengths = lengths.clip(SHORTEST, LONGEST)
    translation = numbers.permutation(words)
    builders = {}
    for language in ("xx", "yy"):
        dictionary.save(str(folder / f"dict.{language}.txt"))
        path = str(folder / f"train.xx-yy.{language}")
        builders[language] = (
            path,
            indexed_dataset.make_builder(f"{path}.bin", "mmap", len(dictionary)),
        )
    for length in lengths:
        source = numbers.choice(words, length, p=frequency / frequency.sum())
        target = translation[source[::-1]]
        for language, sentence in (("xx", source), ("yy", target)):
            ids = np.append(sentence + SPECIALS, dictionary.eos())
            builders[language][1].add_item(torch.from_numpy(ids))
    for path, builder in builders.values():
        builder.finalize(f"{path}.idx")


def arguments(
    arch: str, units: int, layers: int, autocast: str = "none", loss: str = "ours", *more: object
) -> list[object]:
    """Return arguments for fairseq-train.

    Args:
        arch: one of ours, or fairseq's ``lstm``, which uses fairseq's own task unless ``autocast``
            is given.
        units: width of embeddings, layers and attention.
        layers: number of layers of encoder and decoder.
        autocast: number format, ``none`` for float32 or ``bfloat16``.
        loss: whose label-smoothed cross-entropy, a name in ``LOSSES``.
        more: further arguments.

    Returns:
        Arguments for model, task, loss, and Adam with clipping; dropout is 0.1 for all.
    """
    if arch == "lstm":
        task = "translation" if autocast == "none" else "translation_memory"
        sizes = [
            "--encoder-embed-dim", units, "--decoder-embed-dim", units,
            "--decoder-out-embed-dim", units, "--encoder-layers", layers,
        ]  # fmt: skip
    else:
        task = "translation_memory"
        sizes = ["--units", units, "--encoder-layers", layers]
    chosen = ["--task", task, "--arch", arch, *sizes, "--decoder-layers", layers]
    if task == "translation_memory":
        chosen += ["--autocast", autocast]
    return [
        *chosen, "--criterion", LOSSES[loss], "--label-smoothing", "0.1", "--dropout", "0.1",
        "--share-all-embeddings", "--optimizer", "adam", "--lr", "0.001", "--clip-norm", "1.0",
        *more,
    ]  # fmt: skip


def of_corpus(folder: Path) -> list[object]:
    """Return arguments with which fairseq-train finds the corpus."""
    return [folder, "-s", "xx", "-t", "yy"]


def batches_of(
    dataset: Any, max_tokens: int | None, sentences: int | None = None
) -> list[list[int]]:
    """Return the sentence numbers of batches of similar lengths, always in the same order."""
    with data_utils.numpy_seed(SEED):
        order = dataset.ordered_indices()
    batches = [
        list(batch)
        for batch in dataset.batch_by_size(
            order, max_tokens, sentences, required_batch_size_multiple=8
        )
    ]
    random.Random(SEED).shuffle(batches)
    return batches


def collated(dataset: Any, batch: Sequence[int]) -> dict:
    """Return the batch in the form that a model receives."""
    return dataset.collater([dataset[number] for number in batch])


class Training(Trained):
    """A contender that trains on the corpus; its unit of work is target words.

    Args:
        folder: of the corpus.
        arguments: for fairseq-train.
        device: ``cpu`` or ``cuda``.
        max_tokens: padded target tokens per batch.
        updates: per turn.
        warm_up: updates before the first turn.
        threads: number of processor cores; None for all.
    """

    def __init__(
        self,
        folder: Path,
        arguments: Sequence[object],
        device: str,
        max_tokens: int,
        updates: int,
        warm_up: int,
        threads: int | None = None,
    ) -> None:
        if threads:
            torch.set_num_threads(threads)
        command = [*of_corpus(folder), "--max-tokens", max_tokens, *arguments]
        super().__init__(folder, command, device, updates)
        self._batches = batches_of(self.dataset, max_tokens)
        for number in range(warm_up):
            self.trainer.train_step([self.sample(number)])

    def sample(self, number: int) -> dict:
        """Return the batch of an update."""
        return collated(self.dataset, self._batches[number % len(self._batches)])

    def work(self, sample: dict) -> int:
        """Return the number of target words in a batch."""
        return sample["ntokens"]


class Decoding(Built):
    """A contender that translates with beam search, as ``fairseq-generate`` does.

    All translations have the same length: an untrained model does not know where to end.

    Args:
        folder: of the corpus.
        arguments: for fairseq-train, which would create the model.
        device: ``cpu`` or ``cuda``.
        sentences: number of sentences in a batch; a turn is a batch.
        beam: hypotheses per sentence.
        length: words of every translation.
        empty: whether to leave the memory empty.
    """

    def __init__(
        self,
        folder: Path,
        arguments: Sequence[object],
        device: str,
        sentences: int,
        beam: int,
        length: int,
        empty: bool = False,
    ) -> None:
        super().__init__(folder, [*of_corpus(folder), *arguments], device)
        self.model.to(device).eval()
        self.model.prepare_for_inference_(self.cfg)
        generation = self.cfg.generation
        generation.beam, generation.min_len, generation.max_len_b = beam, length, length
        self.generator = self.task.build_generator([self.model], generation)
        batches = batches_of(self.dataset, None, sentences)
        self._batches = [batch for batch in batches if len(batch) == sentences]
        memory = self.memory
        if memory is not None and not empty:
            self._fill(memory)

    @torch.no_grad()
    def _fill(self, memory: KeyValueMemory) -> None:
        """Fill all slots with what the model would write when it reads the corpus."""
        keys: list[Tensor] = []
        values: list[Tensor] = []
        while sum(map(len, values)) < memory.size:
            sample = self._to_device(self._sample(len(values)))
            _, extra = self.model(**sample["net_input"])
            keys.append(torch.nn.functional.normalize(extra["memory"].query, dim=1))
            values.append(sample["target"][extra["memory"].positions])
        fill(memory, torch.cat(keys)[: memory.size], torch.cat(values)[: memory.size])

    def _sample(self, number: int) -> dict:
        return collated(self.dataset, self._batches[number % len(self._batches)])

    def _to_device(self, sample: dict) -> dict:
        return utils.move_to_cuda(sample) if self.device == "cuda" else sample

    def __call__(self, number: int) -> Turn:
        """Translate the batch of this turn; the unit of work is sentences."""
        sample = self._sample(number)
        with Stopwatch(self.device) as watch:
            self.task.inference_step(self.generator, [self.model], self._to_device(sample))
        return Turn(watch.seconds, sample["nsentences"])
