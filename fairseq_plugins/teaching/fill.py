"""Fills the memory of a trained model with a corpus.

One pass of forced decoding: the model reads every source with its reference, as in training but
without dropout and without learning, and the chosen target tokens are written to the memory by the
life-long rule. So a memory can be larger than is affordable in training, can be adapted to another
domain, or can be written again for averaged weights.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from fairseq_plugins.modules.write_policy import WritePolicy
from fairseq_plugins.teaching.loaded_checkpoint import LoadedCheckpoint


@dataclass(frozen=True)
class FillReport:
    """Summary of writing a corpus to a memory."""

    seen: int = 0
    """Target tokens read."""
    written: int = 0
    """Tokens that the policy chose."""
    merged: int = 0
    """Tokens written that refined a neighbour which was already correct."""
    evicted: int = 0
    """Slots that were overwritten."""
    filled: int = 0
    """Slots in use at the end."""
    size: int = 0
    """Slots."""
    batches: int = 0
    """Batches read."""
    seconds: float = 0.0

    def __str__(self) -> str:
        """Return one line for people."""
        return (
            f"{self.written:,} of {self.seen:,} target tokens remembered in {self.seconds:.1f} s "
            f"({self.seen / max(self.seconds, 1e-9):,.0f} tokens/s), "
            f"{self.merged / max(self.written, 1):.1%} of them merged; "
            f"{self.filled:,} of {self.size:,} slots filled, {self.evicted:,} evicted"
        )


def fill(
    loaded: LoadedCheckpoint,
    split: str,
    policy: WritePolicy,
    epochs: int = 1,
    origin: int = 0,
    done: FillReport | None = None,
    keep: Callable[[FillReport], None] | None = None,
) -> FillReport:
    """Write the target tokens of a split to a model's memory.

    Args:
        loaded: its memory is written to.
        split: of its corpus, for instance ``train``.
        policy: which tokens are written. Surprise is measured without the memory, so only tokens
            that are written must be searched for, and known ones are merged.
        epochs: number of passes over the split.
        origin: of what the first line writes, see ``Corpora.origin``; the others follow.
        done: what was done before, if an earlier process filled a part; it is skipped.
        keep: called after each batch, with what is done.

    Returns:
        A summary of everything.
    """
    memory, report = loaded.memory, done or FillReport()
    passes = (loaded.batches(split, epoch) for epoch in range(1, epochs + 1))
    for sample in itertools.islice(itertools.chain.from_iterable(passes), report.batches, None):
        report = _fill_batch(loaded, sample, policy, origin, report)
        if keep is not None:
            keep(report)
    return replace(report, filled=len(memory), size=memory.size)


@torch.no_grad()
def _fill_batch(
    loaded: LoadedCheckpoint, sample: dict, policy: WritePolicy, origin: int, report: FillReport
) -> FillReport:
    memory = loaded.memory
    decoded = loaded.decode(sample, ask=False)
    query, target = decoded.reading.query, decoded.target
    chosen = policy(target, decoded.log_prob())
    done = memory.write(query[chosen], target[chosen], decoded.of_lines(sample, origin)[chosen])
    return replace(
        report,
        seen=report.seen + len(target),
        written=report.written + done.pairs,
        merged=report.merged + done.merged,
        evicted=report.evicted + done.evicted,
        batches=report.batches + 1,
    )
