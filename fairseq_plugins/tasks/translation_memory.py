"""Translation with models that remember: ``--task translation_memory``.

fairseq's translation task, with four differences: after each backward pass what the batch
taught is committed to the memory, by all workers together; batches are never cut to a multiple
of eight sentences; a training that is resumed goes on with the same batches; and training runs in
bfloat16 where the processor multiplies it natively.
"""

from dataclasses import dataclass, field
from typing import Any

from fairseq.sequence_scorer import SequenceScorer
from fairseq.tasks import register_task
from fairseq.tasks.translation import TranslationConfig, TranslationTask

from fairseq_plugins.errors import InputError
from fairseq_plugins.patches.dictionaries import RemembersDictionaries
from fairseq_plugins.patches.trainings import begin_task
from fairseq_plugins.tasks.committing import CommitsMemory, CommittingConfig


@dataclass
class TranslationMemoryConfig(CommittingConfig, TranslationConfig):
    """fairseq's options for translation, with padding where our models want it."""

    left_pad_source: bool = field(
        default=False, metadata={"help": "pad the source on the left; LSTMs want the right"}
    )


@register_task("translation_memory", dataclass=TranslationMemoryConfig)
class TranslationMemoryTask(CommitsMemory, RemembersDictionaries, TranslationTask):
    """Translate, and remember."""

    cfg: TranslationMemoryConfig

    @classmethod
    def setup_task(cls, cfg: TranslationMemoryConfig, **kwargs: Any) -> "TranslationMemoryTask":
        """Load the dictionaries that belong to ``cfg.data``."""
        begin_task()
        return super().setup_task(cfg, **kwargs)

    def get_batch_iterator(self, *args: Any, epoch: int = 1, **kwargs: Any) -> Any:
        """As fairseq's, but no sentence is dropped to make batches a multiple of eight.

        Which sentences share a batch is drawn once, from the seed. fairseq would draw it from the
        epoch too in which a program starts: another training after every interruption.

        Raises:
            InputError: if a batch is to have fewer tokens than a sentence has.
        """
        kwargs["required_batch_size_multiple"] = 1
        try:
            iterator = super().get_batch_iterator(*args, epoch=1, **kwargs)
        except AssertionError as error:
            if "max_tokens" not in str(error):
                raise
            raise InputError(f"--max-tokens: too few for the longest sentence; {error}") from error
        if iterator.next_epoch_idx == 1:  # a new one
            iterator.epoch = max(epoch, 1)
        return iterator

    def inference_step(
        self, generator: Any, models: Any, sample: dict, *args: Any, **kwargs: Any
    ) -> Any:
        """Translate a batch, or score the translations that it brings.

        Raises:
            InputError: if translations are to be scored, and there are none.
        """
        if isinstance(generator, SequenceScorer) and sample["target"] is None:
            raise InputError(
                "sources alone cannot be scored: binarise them with their translations, and use "
                "fairseq-generate --score-reference"
            )
        return super().inference_step(generator, models, sample, *args, **kwargs)
