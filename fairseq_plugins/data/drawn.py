"""Data generated during training: endless datasets, and how tasks use them."""

from collections.abc import Iterator
from typing import Any

from fairseq.data import FairseqDataset
from fairseq.data.iterators import EpochBatchIterator

from fairseq_plugins.errors import InputError

TRAIN = "train"  # fairseq's name of the split


class DrawnDataset(FairseqDataset):
    """Base class of datasets that have an item for every index from 0 on, without end.

    An epoch is only a number of batches, for validation and checkpoints.

    Args:
        batches: number of batches in an epoch.
        batch_size: number of items in a batch.
    """

    def __init__(self, batches: int, batch_size: int = 1) -> None:
        super().__init__()
        self.batches, self.batch_size = batches, batch_size

    def __len__(self) -> int:
        """Return the number of items in an epoch."""
        return self.batches * self.batch_size

    def epoch_batches(self, epoch: int) -> Iterator[list[int]]:
        """Yield the indices of each batch of an epoch, which is counted from 1."""
        for batch in range((epoch - 1) * self.batches, epoch * self.batches):
            first = batch * self.batch_size
            yield list(range(first, first + self.batch_size))

    def collater(self, samples: list[Any]) -> Any:
        """Return the only item, which is a whole batch; nothing if a worker has none left."""
        return samples[0] if samples else {}

    def num_tokens(self, index: int) -> int:
        """Return 1: all items have the same size."""
        return 1

    def size(self, index: int) -> int:
        """Return 1: all items have the same size."""
        return 1


def drawn_together(batch_size: int | None) -> int:
    """Return ``--batch-size``, which is needed to draw batches.

    Raises:
        InputError: if it is missing.
    """
    if batch_size is None:
        raise InputError("examples are drawn in batches: use --batch-size, not --max-tokens alone")
    return batch_size


def epoch_iterator(
    dataset: DrawnDataset, training: bool, epoch: int, *, num_shards: int = 1, **options: Any
) -> EpochBatchIterator:
    """Return fairseq's iterator over the epochs of a dataset.

    Args:
        dataset: that provides the batches.
        training: whether each epoch has new batches; in validation all have the same ones.
        epoch: first epoch.
        num_shards: number of workers. In training all get the same number of batches: fairseq would
            give a worker that has nothing left to do a batch of the last validation to train on.
        options: ``shard_id``, ``num_workers`` and so on, from fairseq.

    Raises:
        InputError: if an epoch has fewer batches than there are workers.
    """
    if training and dataset.batches < num_shards:
        raise InputError(
            f"--batches {dataset.batches} are not enough for {num_shards} workers; use more"
        )

    def batches(dataset: DrawnDataset, epoch: int) -> list[list[int]]:
        drawn = list(dataset.epoch_batches(epoch if training else 1))
        return drawn[: len(drawn) // num_shards * num_shards] if training else drawn

    return EpochBatchIterator(
        dataset,
        dataset.collater,
        batches,
        epoch=epoch,
        disable_shuffling=True,  # the draws are already random
        reuse_dataloader=True,
        num_shards=num_shards,
        **options,
    )


class DrawsBatches:
    """For tasks that generate their data: the dataset determines the batches.

    Inherit it before fairseq's task. Limits on the size of a batch have no effect here.
    """

    datasets: dict[str, Any]

    def get_batch_iterator(
        self,
        dataset: Any,
        *args: Any,
        seed: int = 1,
        num_shards: int = 1,
        shard_id: int = 0,
        num_workers: int = 0,
        epoch: int = 1,
        data_buffer_size: int = 0,
        **kwargs: Any,
    ) -> EpochBatchIterator:
        """Return an iterator over the epochs of a dataset, for fairseq."""
        return epoch_iterator(
            dataset,
            dataset is self.datasets.get(TRAIN),
            epoch,
            seed=seed,
            num_shards=num_shards,
            shard_id=shard_id,
            num_workers=num_workers,
            buffer_size=data_buffer_size,
        )
