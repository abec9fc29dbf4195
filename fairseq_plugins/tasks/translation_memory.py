"""Translation with models that remember: ``--task translation_memory``.

fairseq's translation task, with four differences: after each backward pass what the batch
taught is committed to the memory, by all workers together; batches are never cut to a multiple
of eight sentences; a training that is resumed goes on with the same batches; and training can run
in bfloat16 on a CPU.
"""

import logging
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from fairseq.dataclass import ChoiceEnum
from fairseq.tasks import register_task
from fairseq.tasks.translation import TranslationConfig, TranslationTask
from torch import Tensor

from fairseq_plugins import compat
from fairseq_plugins.memory import KeyValueMemory

logger = logging.getLogger(__name__)


@dataclass
class TranslationMemoryConfig(TranslationConfig):
    """fairseq's options for translation, and the number format of training."""

    left_pad_source: bool = field(
        default=False, metadata={"help": "pad the source on the left; LSTMs want the right"}
    )
    autocast: ChoiceEnum(["none", "bfloat16"]) = field(  # type: ignore[valid-type]
        default="none",
        metadata={"help": "number format of matrix products in training; bfloat16 is about twice "
                          "as fast on processors that have it, and needs no loss scaling"},
    )  # fmt: skip


@register_task("translation_memory", dataclass=TranslationMemoryConfig)
class TranslationMemoryTask(compat.RemembersDictionaries, TranslationTask):
    """Translate, and remember."""

    cfg: TranslationMemoryConfig

    @classmethod
    def setup_task(cls, cfg: TranslationMemoryConfig, **kwargs: Any) -> "TranslationMemoryTask":
        """Load the dictionaries that belong to ``cfg.data``."""
        compat.keep_freed_memory()
        return super().setup_task(cfg, **kwargs)

    def get_batch_iterator(self, *args: Any, epoch: int = 1, **kwargs: Any) -> Any:
        """As fairseq's, but no sentence is dropped to make batches a multiple of eight.

        Which sentences share a batch is drawn once, from the seed. fairseq would draw it from the
        epoch too in which a program starts: another training after every interruption.
        """
        kwargs["required_batch_size_multiple"] = 1
        iterator = super().get_batch_iterator(*args, epoch=1, **kwargs)
        if iterator.next_epoch_idx == 1:  # a new one
            iterator.epoch = max(epoch, 1)
        return iterator

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
        memories = [module for module in model.modules() if isinstance(module, KeyValueMemory)]

        def forward(model: Any, sample: dict) -> tuple[Tensor, int, dict]:
            with self._autocast(sample):
                return criterion(model, sample)

        loss, size, log = super().train_step(
            sample, model, forward, optimizer, update_num, ignore_grad
        )
        for memory in memories:
            if ignore_grad:
                memory.discard()
            log |= self._commit(memory)
        return loss, size, log

    def _autocast(self, sample: dict) -> Any:
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
