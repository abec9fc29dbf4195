"""Loss of networks that learn within an episode, and accuracy at the k-th showing of a class."""

from typing import Any

import torch
import torch.nn.functional as F
from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics
from torch import Tensor

from fairseq_plugins.criterions.memory_health import total
from fairseq_plugins.modules.cross_entropy import NATS_PER_BIT

SHOWINGS = (1, 2, 3, 4, 5, 10)  # as in both papers


def showing(classes: Tensor) -> Tensor:
    """Count the showings of each step's class so far: [batch, time] -> [batch, time], from 1."""
    same = classes.unsqueeze(2) == classes.unsqueeze(1)  # [batch, time, time]
    return same.tril().sum(2)


def right_labels(logits: Tensor, target: Tensor) -> Tensor:
    """Return which labels are right at all of their positions: [batch, time] bool.

    Args:
        logits: [batch, time, positions, symbols].
        target: [batch, time, positions].
    """
    return (logits.argmax(-1) == target).all(-1)


@register_criterion("sequence_episodes", dataclass=FairseqDataclass)
class SequenceEpisodesCriterion(FairseqCriterion):
    """The sum over steps of the cross-entropy of the label, over all its positions."""

    def forward(self, model: Any, sample: dict, reduce: bool = True) -> tuple[Tensor, int, dict]:
        """Return the loss of a sample, the number to divide it by, and the values to log."""
        logits, _ = model(**sample["net_input"])  # [batch, time, positions, symbols]
        target = sample["target"]  # [batch, time, positions]
        loss = F.cross_entropy(logits.float().flatten(0, 2), target.flatten(), reduction="sum")
        size = target.shape[0] * target.shape[1]
        log: dict[str, float] = {
            "loss": float(loss.detach()),
            "ntokens": sample["ntokens"],
            "nsentences": sample["nsentences"],
            "sample_size": size,
        }
        with torch.no_grad():
            right = right_labels(logits, target)
            times = showing(sample["classes"])
            for k in SHOWINGS:
                log[f"shown_{k}"] = int((times == k).sum())
                log[f"right_{k}"] = int((right & (times == k)).sum())
        return loss, size, log

    @staticmethod
    def reduce_metrics(logging_outputs: list[dict]) -> None:
        """Average over all workers; log accuracy by showing, in per cent."""
        size = total(logging_outputs, "sample_size")
        loss = total(logging_outputs, "loss") / size / NATS_PER_BIT
        metrics.log_scalar("loss", loss, size, round=3)
        for k in SHOWINGS:
            shown = total(logging_outputs, f"shown_{k}")
            if shown:
                right = 100 * total(logging_outputs, f"right_{k}") / shown
                metrics.log_scalar(f"showing_{k}", right, shown, round=2)

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        """Return True: all of them are sums."""
        return True
