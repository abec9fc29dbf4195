"""Translation with a memory: ``--task translation_memory``.

This is fairseq's translation task, with five differences: after each backward pass, the staged
pairs of the batch are committed to the memory, by all workers together; batches are never cut to a
multiple of eight sentences; a training that is resumed continues with the same batches;
training uses bfloat16 where it is native; and a beam search ends only likely hypotheses.
"""

from dataclasses import dataclass, field
from typing import Any

from fairseq.search import BeamSearch
from fairseq.sequence_scorer import SequenceScorer
from fairseq.tasks import register_task
from fairseq.tasks.translation import TranslationConfig, TranslationTask

from fairseq_plugins.errors import InputError
from fairseq_plugins.patches.dictionaries import RemembersDictionaries
from fairseq_plugins.patches.trainings import begin_task
from fairseq_plugins.tasks.beam_search import LikelyEndsBeamSearch
from fairseq_plugins.tasks.committing import CommitsMemory, CommittingConfig


@dataclass
class TranslationMemoryConfig(CommittingConfig, TranslationConfig):
    """fairseq's options for translation, with the padding that our models need."""

    left_pad_source: bool = field(
        default=False,
        metadata={"help": "pad the source on the left; LSTMs need padding on the right"},
    )


@register_task("translation_memory", dataclass=TranslationMemoryConfig)
class TranslationMemoryTask(CommitsMemory, RemembersDictionaries, TranslationTask):
    """Translation with a memory."""

    cfg: TranslationMemoryConfig

    @classmethod
    def setup_task(cls, cfg: TranslationMemoryConfig, **kwargs: Any) -> "TranslationMemoryTask":
        """Create the task, and load the dictionaries of ``cfg.data``."""
        begin_task()
        return super().setup_task(cfg, **kwargs)

    def get_batch_iterator(self, *args: Any, epoch: int = 1, **kwargs: Any) -> Any:
        """Return fairseq's iterator, without dropping sentences to get multiples of eight.

        The seed alone decides which sentences share a batch. In fairseq it also depends on the
        epoch in which a program starts, so the training would change after every interruption.

        Raises:
            InputError: if a batch may have fewer tokens than a sentence.
        """
        kwargs["required_batch_size_multiple"] = 1
        try:
            iterator = super().get_batch_iterator(*args, epoch=1, **kwargs)
        except AssertionError as error:
            if "max_tokens" not in str(error):
                raise
            raise InputError(f"--max-tokens: too few for the longest sentence; {error}") from error
        if iterator.next_epoch_idx == 1:  # a new iterator
            iterator.epoch = max(epoch, 1)
        return iterator

    def build_generator(self, *args: Any, **kwargs: Any) -> Any:
        """Build fairseq's generator; its plain beam search ends only likely hypotheses."""
        generator = super().build_generator(*args, **kwargs)
        if type(getattr(generator, "search", None)) is BeamSearch:
            generator.search = LikelyEndsBeamSearch(self.target_dictionary)
        return generator

    def inference_step(
        self, generator: Any, models: Any, sample: dict, *args: Any, **kwargs: Any
    ) -> Any:
        """Translate a batch, or score the translations that it contains.

        Raises:
            InputError: if translations are to be scored but there are none.
        """
        if isinstance(generator, SequenceScorer) and sample["target"] is None:
            raise InputError(
                "sources alone cannot be scored: binarise them with their translations, and use "
                "fairseq-generate --score-reference"
            )
        return super().inference_step(generator, models, sample, *args, **kwargs)
