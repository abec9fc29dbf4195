"""A checkpoint's model that reads a corpus, each source with its reference: forced decoding.

Its memory can be filled, taught and calibrated in this way, without learning or beam search.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fairseq import checkpoint_utils, tasks, utils
from torch import Tensor

from fairseq_plugins.allocator import return_freed_memory
from fairseq_plugins.autocast import AUTO, choose, context
from fairseq_plugins.checkpoints.files import fit_to_memory, write_checkpoint
from fairseq_plugins.errors import InputError
from fairseq_plugins.memory import memories_in
from fairseq_plugins.memory.sharded import whole
from fairseq_plugins.memory.state import memory_buffers, resized
from fairseq_plugins.modules.cross_entropy import token_log_probs
from fairseq_plugins.modules.gnmt import pad_on_the_right
from fairseq_plugins.modules.memory_reading import MemoryReading
from fairseq_plugins.patches.memory_files import models_in
from fairseq_plugins.progress import Progress


@dataclass(frozen=True)
class Corpus:
    """A binarised corpus, and how to read it."""

    data: Path | None
    """Folder written by fairseq-preprocess, or several, separated by colons, with the shards of a
    corpus; None if the task generates its data."""
    max_tokens: int = 4000
    """Maximum number of target tokens in a batch."""
    seed: int = 1
    """Seed of the order of batches."""


@dataclass(frozen=True)
class Decoded:
    """A sample with N target tokens after decoding."""

    reading: MemoryReading
    """The query at each of them, and its answer if there was a search."""
    target: Tensor
    """[N], the correct tokens."""
    logits: Tensor
    """[batch, time, vocabulary]."""
    real: Tensor
    """[batch, time] bool, positions of the N tokens."""
    source: Tensor
    """[batch, source] tokens; right-padded where ``source_real`` is False."""
    source_real: Tensor
    """[batch, source] bool."""
    attention: Tensor | None
    """[batch, time, source], the attention, if the model provides it."""

    def of_lines(self, sample: dict, origin: int) -> Tensor:
        """Return the origin [N] of each token, if that of the first line is given."""
        return (sample["id"].to(self.target.device) + origin).repeat_interleave(self.real.sum(1))

    def pairs(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield source [S], target [T] and attention [T, S] of each sentence, without padding."""
        assert self.attention is not None
        targets = self.target.split(self.real.sum(1).tolist())
        rows = zip(self.source, self.source_real, targets, self.attention, strict=True)
        for source, real, target, attention in rows:
            yield source[real], target, attention[: len(target), real]

    def log_prob(self) -> Tensor:
        """Return log p(target) [N] of the softmax alone."""
        target = torch.zeros_like(self.real, dtype=torch.int64)
        target[self.real] = self.target
        log_prob, _ = token_log_probs(self.logits.flatten(0, 1), target.flatten())
        return log_prob[self.real.flatten()]


class LoadedCheckpoint:
    """A checkpoint's model and memory, and its task on a corpus.

    Args:
        path: of the checkpoint.
        corpus: the data and how to read it.
        memory_size: new number of slots; None to leave it unchanged. The contents are kept; if the
            memory becomes too small, the youngest of them.
        device: to compute on.
        autocast: number format of the network's products, a name in ``autocast.CHOICES``.
        state: contents of the checkpoint, if they were read or changed before; None to read them.

    Raises:
        InputError: if the checkpoint is unusable, has no memory, or does not match the data, or if
            the device lacks a number format that was chosen by name.
    """

    def __init__(
        self,
        path: Path,
        corpus: Corpus,
        memory_size: int | None = None,
        device: str = "cpu",
        autocast: str = AUTO,
        state: dict[str, Any] | None = None,
    ) -> None:
        choose(autocast, device, "Reading the corpus")
        self.corpus, self.device, self.autocast = corpus, torch.device(device), autocast
        self.state = state or checkpoint_utils.load_checkpoint_to_cpu(str(path))
        memories = memory_buffers(self.state["model"])
        if len(memories) != 1:
            raise InputError(
                f"{path}: has no memory to fill; train with an --arch that has one, for instance "
                "gnmt_memory"
            )
        if memory_size is not None:
            resize_memory(self.state["model"], memories[0], memory_size)
        fit_to_memory(self.state["cfg"], memory_size)
        task_cfg = self.state["cfg"].task.copy()
        if "data" in task_cfg:
            if corpus.data is None:
                raise InputError(f"{path}: its task reads a corpus; give its folder with --data")
            task_cfg.data = str(corpus.data)
        if "curriculum_batches" in task_cfg:
            task_cfg.curriculum_batches = 0  # remember all of every example
            if task_cfg.algorithm == "rare_symbols":  # and every example
                task_cfg.batches = -(-task_cfg.examples // task_cfg.batch_size)
        self.task = tasks.setup_task(task_cfg)
        if self.task.target_dictionary is None:
            raise InputError(
                f"{path}: its memory holds classes of drawings, which no corpus contains; give a "
                "checkpoint of a translator"
            )
        models, _, _ = checkpoint_utils.load_model_ensemble_and_task(
            [str(path)], task=self.task, state=self.state
        )
        self.model = models[0].to(self.device).eval()
        self.memory = memories_in(self.model)[0]
        self._names = memories[0]
        self._drop_memory()

    def batches(self, split: str, epoch: int = 1) -> Iterator[dict]:
        """Yield all batches of a split, of all its shards, with a progress bar.

        Args:
            split: of the corpus. The training split has as many shards as there are folders.
            epoch: of the corpus, from 1; it determines the order together with the seed.

        Yields:
            fairseq's samples; ``id`` is the line in all shards together, from 0.

        Raises:
            InputError: if the data has no such split, or the split is empty.
        """
        first = 0
        for number in self._passes(split, epoch):
            dataset = self._load(split, number)
            for sample in self._batches_of(dataset, split, number):
                sample["id"] += first  # lines of all shards are counted together
                yield sample
            first += len(dataset)

    def lines(self, split: str) -> Iterator[tuple[str, str]]:
        """Yield the pieces of source and target of all lines, separated by spaces, in order."""
        source, target = self.task.source_dictionary, self.task.target_dictionary
        for number in self._passes(split, 1):
            dataset = self._load(split, number)
            for line in range(len(dataset)):
                pair = dataset[line]
                yield source.string(pair["source"]), target.string(pair["target"])

    def _passes(self, split: str, epoch: int) -> range:
        """Return fairseq's epochs: it calls a pass over one shard an epoch."""
        shards = 1
        if split == getattr(self.task.cfg, "train_subset", None):
            shards = len(utils.split_paths(self.task.cfg.data))
        return range((epoch - 1) * shards + 1, epoch * shards + 1)

    def _load(self, split: str, epoch: int) -> Any:
        try:
            self.task.load_dataset(split, epoch=epoch)
        except FileNotFoundError as error:
            raise InputError(
                f"{self.corpus.data}: has no split {split!r}; give one that was binarised"
            ) from error
        return self.task.dataset(split)

    def _batches_of(self, dataset: Any, split: str, epoch: int) -> Iterator[dict]:
        longest = utils.resolve_max_positions(self.task.max_positions(), self.model.max_positions())
        batches = self.task.get_batch_iterator(
            dataset,
            max_tokens=self.corpus.max_tokens,
            max_positions=longest,
            ignore_invalid_inputs=True,
            seed=self.corpus.seed,
            epoch=epoch,
            disable_iterator_cache=True,  # otherwise all shards stay in memory
        ).next_epoch_itr(shuffle=True)
        sizes = getattr(dataset, "tgt_sizes", None)  # generated data has no sizes
        total = sizes if sizes is None else int(sizes.sum())
        with Progress(total=total, desc=split, unit=" tokens", unit_scale=True) as bar:
            for sample in batches:
                yield utils.move_to_cuda(sample) if self.device.type == "cuda" else sample
                bar.update(sample["ntokens"])
                return_freed_memory()

    @torch.no_grad()
    def decode(self, sample: dict, ask: bool = True, exact: bool = False) -> "Decoded":
        """Decode the references of a sample.

        Args:
            sample: of the task.
            ask: False to compute the queries only, without a search, unless queries depend on
                earlier answers.
            exact: True to compute in float32, as fairseq-generate does by default.
        """
        searching = nullcontext() if ask else self.model.decoder.questions_only()
        with searching, context("none" if exact else self.autocast, self.device):
            logits, extra = self.model(**sample["net_input"])
        real = sample["target"] != self.task.target_dictionary.pad()  # [batch, time]
        pad = self.task.source_dictionary.pad()
        source = pad_on_the_right(sample["net_input"]["src_tokens"], pad)
        return Decoded(
            extra["memory"], sample["target"][real], logits, real, source, source != pad,
            extra.get("attn"),
        )  # fmt: skip

    def save(self, path: Path) -> None:
        """Write the checkpoint with its memory, completely or not at all."""
        fit_to_memory(self.state["cfg"], self.memory.size)  # lessons may have made it grow
        with whole(self.model):
            self.state["model"] = weights = utils.move_to_cpu(self.model.state_dict())
            memory = {name: weights[name] for name in self._names.values()}
            for copy in models_in(self.state):
                copy.update(memory)
            write_checkpoint(self.state, path)
        self._drop_memory()

    def _drop_memory(self) -> None:
        """Leave the memory to the model: a large one should be in main memory once."""
        for copy in models_in(self.state):
            for name in self._names.values():
                copy.pop(name, None)


def resize_memory(weights: dict[str, Tensor], names: dict[str, str], size: int) -> None:
    """Change the number of slots of a memory in a state dict, in place.

    Entries that do not fit are forgotten, the oldest first.

    Args:
        weights: the state dict.
        names: of the memory's buffers in it, see :func:`memory_buffers`.
        size: the new number of slots.

    Raises:
        InputError: if more slots are pinned than the new size.
    """
    buffers = {name: weights[full] for name, full in names.items()}
    try:
        buffers = resized(buffers, size)
    except ValueError as error:
        raise InputError(f"--memory-size {size}: {error}") from error
    weights.update({full: buffers[name] for name, full in names.items()})
