"""Translators at work on a generated corpus: what the benchmarks of training and decoding time.

The corpus is written to disk as ``fairseq-preprocess`` would, the options are those of
``fairseq-train``, and its own ``Trainer`` and ``SequenceGenerator`` do the work.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from fairseq import options, tasks, utils
from fairseq.data import Dictionary, data_utils, indexed_dataset
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.trainer import Trainer
from torch import Tensor

from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.tools.benchmark import Stopwatch, Turn
from fairseq_plugins.tools.benchmark_memory import fill

SHORTEST, LONGEST, MEAN_LENGTH = 5, 40, 20  # words a sentence
SPECIALS = 4  # entries of every dictionary that are no words
SEED = 1
LOSSES = {
    "ours": "memory_cross_entropy",
    "fairseq's": "label_smoothed_cross_entropy",  # the same number, computed in another way
}


def make_corpus(folder: Path, sentences: int, vocabulary: int) -> None:
    """Write a binarised corpus, with word frequencies and sentence lengths as real ones have.

    Frequencies follow Zipf's law; lengths a gamma distribution between 5 and 40 words. The target
    has a word for every word of the source, in another order.

    Args:
        folder: where to.
        sentences: how many.
        vocabulary: entries of the dictionary that both languages share.
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
    """What to give fairseq-train.

    Args:
        arch: one of ours, or fairseq's ``lstm``, which comes with fairseq's own task unless
            ``autocast`` is wanted.
        units: width of embeddings, layers and attention.
        layers: of encoder and of decoder.
        autocast: number format, ``none`` for float32 or ``bfloat16``.
        loss: whose label-smoothed cross-entropy, a name in ``LOSSES``.
        more: further arguments.

    Returns:
        Model, task, loss, and Adam with clipping; dropout is 0.1 for all.
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


class Translator:
    """A model as ``fairseq-train`` would build it, and batches of the corpus.

    Args:
        folder: of the corpus.
        arguments: further ones for fairseq-train: task, architecture, criterion, optimizer.
        device: ``cpu`` or ``cuda``.
    """

    def __init__(self, folder: Path, arguments: Sequence[object], device: str) -> None:
        command = [folder, "-s", "xx", "-t", "yy", "--seed", SEED, *arguments]
        command += ["--save-dir", folder / "checkpoints"]  # fairseq saves one when it crashes
        if device == "cpu":
            command.append("--cpu")
        parser = options.get_training_parser()
        parsed = options.parse_args_and_arch(parser, [str(argument) for argument in command])
        self.cfg, self.device = convert_namespace_to_omegaconf(parsed), device
        utils.set_torch_seed(SEED)
        self.task = tasks.setup_task(self.cfg.task)
        self.model = self.task.build_model(self.cfg.model)
        self.task.load_dataset("train")

    def batches(self, max_tokens: int | None, sentences: int | None = None) -> list[list[int]]:
        """Sentence numbers of batches of like lengths, in an order that is always the same."""
        dataset = self.task.dataset("train")
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

    def sample(self, batch: list[int]) -> dict:
        """What the model sees of a batch."""
        dataset = self.task.dataset("train")
        return dataset.collater([dataset[number] for number in batch])

    @property
    def memory(self) -> KeyValueMemory | None:
        """The model's, if it has one."""
        return next((m for m in self.model.modules() if isinstance(m, KeyValueMemory)), None)


class Training(Translator):
    """A contender that trains: forward, backward, clipping, Adam's step, and the commit.

    Args:
        folder: of the corpus.
        arguments: for fairseq-train.
        device: ``cpu`` or ``cuda``.
        max_tokens: padded target tokens a batch.
        updates: a turn.
        warm_up: updates before the first turn.
        threads: processor cores to use; None for all.
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
        super().__init__(folder, ["--max-tokens", max_tokens, *arguments], device)
        criterion = self.task.build_criterion(self.cfg.criterion)
        self.trainer = Trainer(self.cfg, self.task, self.model, criterion)
        self.trainer.begin_epoch(1)
        self._batches = self.batches(max_tokens)
        self.updates = updates
        for batch in self._take(0, warm_up):
            self.trainer.train_step([self.sample(batch)])

    def _take(self, begin: int, count: int) -> Iterator[list[int]]:
        for number in range(begin, begin + count):
            yield self._batches[number % len(self._batches)]

    def __call__(self, number: int) -> Turn:
        """Train on the batches of this turn; the work is in target words."""
        samples = [self.sample(batch) for batch in self._take(number * self.updates, self.updates)]
        with Stopwatch(self.device) as watch:
            for sample in samples:
                self.trainer.train_step([sample])
        return Turn(watch.seconds, sum(sample["ntokens"] for sample in samples))


class Decoding(Translator):
    """A contender that translates with beam search, as ``fairseq-generate`` does.

    All translations have the same length: an untrained model does not know where to end.

    Args:
        folder: of the corpus.
        arguments: for fairseq-train, which would make the model.
        device: ``cpu`` or ``cuda``.
        sentences: a batch; a turn is a batch.
        beam: hypotheses a sentence.
        length: words of every translation.
        empty: leave the memory empty instead of filling it.
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
        super().__init__(folder, arguments, device)
        self.model.to(device).eval()
        self.model.prepare_for_inference_(self.cfg)
        generation = self.cfg.generation
        generation.beam, generation.min_len, generation.max_len_b = beam, length, length
        self.generator = self.task.build_generator([self.model], generation)
        self._batches = self.batches(None, sentences)
        self._batches = [batch for batch in self._batches if len(batch) == sentences]
        memory = self.memory
        if memory is not None and not empty:
            self._fill(memory)

    @torch.no_grad()
    def _fill(self, memory: KeyValueMemory) -> None:
        """Fill all slots with what the model would write when it reads the corpus."""
        keys: list[Tensor] = []
        values: list[Tensor] = []
        while sum(map(len, values)) < memory.size:
            sample = self._to_device(self.sample(self._batches[len(values) % len(self._batches)]))
            _, extra = self.model(**sample["net_input"])
            keys.append(torch.nn.functional.normalize(extra["memory"].query, dim=1))
            values.append(sample["target"][extra["memory"].positions])
        fill(memory, torch.cat(keys)[: memory.size], torch.cat(values)[: memory.size])

    def _to_device(self, sample: dict) -> dict:
        return utils.move_to_cuda(sample) if self.device == "cuda" else sample

    def __call__(self, number: int) -> Turn:
        """Translate the batch of this turn; the work is in sentences."""
        sample = self.sample(self._batches[number % len(self._batches)])
        with Stopwatch(self.device) as watch:
            self.task.inference_step(self.generator, [self.model], self._to_device(sample))
        return Turn(watch.seconds, sample["nsentences"])
