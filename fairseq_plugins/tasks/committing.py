"""Shared by all tasks whose models have a memory: a commit after each backward pass."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from omegaconf import II
from torch import Tensor

from fairseq_plugins import allocator, autocast
from fairseq_plugins.memory import KeyValueMemory, memories_in
from fairseq_plugins.memory.sharded import serve

NUMBER_FORMATS = ChoiceEnum(list(autocast.CHOICES))


@dataclass
class CommittingConfig(FairseqDataclass):
    """Options of all tasks whose models have a memory."""

    autocast: NUMBER_FORMATS = field(  # type: ignore[valid-type]
        default=autocast.AUTO, metadata={"help": autocast.HELP}
    )
    cpu: bool = II("common.cpu")


class CommitsMemory:
    """Commits to memories; inherit it before fairseq's task.

    After each backward pass, the staged pairs of a batch are committed to the model's memories, by
    all workers together. Products use the number format that ``cfg.autocast`` chooses.
    """

    cfg: Any

    def build_model(self, cfg: Any, from_checkpoint: bool = False) -> Any:
        """Build the model; choose a number format if it is to be trained.

        Raises:
            InputError: if the machine does not support a number format that was chosen by name.
        """
        if not from_checkpoint:
            gpu = torch.cuda.is_available() and not self.cfg.cpu
            autocast.choose(str(self.cfg.autocast), "cuda" if gpu else "cpu", "Training")
        return super().build_model(cfg, from_checkpoint)  # type: ignore[misc]

    def train_step(
        self,
        sample: dict,
        model: Any,
        criterion: Any,
        optimizer: Any,
        update_num: int,
        ignore_grad: bool = False,
    ) -> tuple[Tensor, int, dict]:
        """Run forward and backward passes, then commit to the memory, together with all workers.

        A dummy batch (``ignore_grad``) adds nothing but takes part in the commit.
        """
        memories = memories_in(model)

        def forward(model: Any, sample: dict) -> tuple[Tensor, int, dict]:
            with self.autocast(sample):
                return criterion(model, sample)

        try:
            loss, size, log = super().train_step(  # type: ignore[misc]
                sample, model, forward, optimizer, update_num, ignore_grad
            )
        except torch.OutOfMemoryError:  # fairseq continues with the next batch
            for memory in memories:
                memory.discard()
                self._commit(memory)  # as the other workers do
            raise
        for memory in memories:
            if ignore_grad:
                memory.discard()
            log |= self._commit(memory)
        return loss, size, log

    def valid_step(self, sample: dict, model: Any, criterion: Any) -> tuple[Tensor, int, dict]:
        """Validate a batch, and answer the other workers until they have finished theirs."""
        done: tuple[Tensor, int, dict] = super().valid_step(sample, model, criterion)  # type: ignore[misc]
        serve(model)
        return done

    def optimizer_step(self, optimizer: Any, model: Any, update_num: int) -> None:
        """Let a model change gradients before the update, and parameters after it."""
        getattr(model, "before_optimizer_step", _nothing)(update_num)
        super().optimizer_step(optimizer, model, update_num)  # type: ignore[misc]
        getattr(model, "after_optimizer_step", _nothing)(update_num)
        allocator.return_freed_memory()

    def autocast(self, sample: dict) -> AbstractContextManager:
        """Return the context of a forward pass, in the chosen number format."""
        return autocast.context(str(self.cfg.autocast), sample["target"].device)

    @staticmethod
    def _commit(memory: KeyValueMemory) -> dict[str, float]:
        report = memory.commit()
        return {
            "memory_commits": 1,
            "memory_written": report.pairs - report.merged,
            "memory_evicted": report.evicted,
            "memory_fill": len(memory) / memory.size,
            "memory_age": memory.mean_age,
        }


def _nothing(_: int) -> None:
    """Do nothing, like most models."""
