"""What all tasks share whose models remember: one commit to the memory after each backward pass."""

from contextlib import nullcontext
from typing import Any

import torch
from fairseq.dataclass import ChoiceEnum
from torch import Tensor

from fairseq_plugins import allocator
from fairseq_plugins.memory import KeyValueMemory, memories_in

NUMBER_FORMATS = ChoiceEnum(["none", "bfloat16"])  # of matrix products, on any device


class CommitsMemory:
    """Mixed into a fairseq task, before its class.

    After each backward pass, what the batch taught is committed to the model's memories, by all
    workers together. ``cfg.autocast`` is the number format of matrix products in training.
    """

    cfg: Any

    def train_step(
        self,
        sample: dict,
        model: Any,
        criterion: Any,
        optimizer: Any,
        update_num: int,
        ignore_grad: bool = False,
    ) -> tuple[Tensor, int, dict]:
        """Forward, backward, then one commit to the memory, together with all workers.

        A dummy batch (``ignore_grad``) teaches nothing but takes part in the commit.
        """
        memories = memories_in(model)

        def forward(model: Any, sample: dict) -> tuple[Tensor, int, dict]:
            with self.autocast(sample):
                return criterion(model, sample)

        try:
            loss, size, log = super().train_step(  # type: ignore[misc]
                sample, model, forward, optimizer, update_num, ignore_grad
            )
        except torch.OutOfMemoryError:  # fairseq goes on with the next batch
            for memory in memories:
                memory.discard()
                self._commit(memory)  # as the others do
            raise
        for memory in memories:
            if ignore_grad:
                memory.discard()
            log |= self._commit(memory)
        return loss, size, log

    def optimizer_step(self, optimizer: Any, model: Any, update_num: int) -> None:
        """A model may do something of its own to gradients before, and to parameters after."""
        getattr(model, "before_optimizer_step", _nothing)(update_num)
        super().optimizer_step(optimizer, model, update_num)  # type: ignore[misc]
        getattr(model, "after_optimizer_step", _nothing)(update_num)
        allocator.return_freed_memory()

    def autocast(self, sample: dict) -> Any:
        """Context of a forward pass, in the number format that was chosen."""
        if str(self.cfg.autocast) == "none":
            return nullcontext()
        return torch.autocast(sample["target"].device.type, getattr(torch, str(self.cfg.autocast)))

    @staticmethod
    def _commit(memory: KeyValueMemory) -> dict[str, float]:
        report = memory.commit()
        filled = memory.values >= 0
        return {
            "memory_commits": 1,
            "memory_written": report.pairs - report.merged,
            "memory_evicted": report.evicted,
            "memory_fill": len(memory) / memory.size,
            "memory_age": float(memory.ages[filled].float().mean()) if len(memory) else 0.0,
        }


def _nothing(_: int) -> None:
    """What most models do."""
