"""Label-smoothed cross-entropy plus the margin loss of the memory.

It also stages the queries and their correct values in the memory, which the task commits after the
backward pass. For models without a memory, it is the plain loss.
"""

from dataclasses import dataclass
from typing import Any

import torch
from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from fairseq.logging import metrics
from fairseq.utils import get_perplexity
from omegaconf import II
from torch import Tensor

from fairseq_plugins.criterions.memory_health import log_memory_health, total
from fairseq_plugins.errors import InputError
from fairseq_plugins.memory import MemoryHits
from fairseq_plugins.modules.cross_entropy import NATS_PER_BIT, token_log_probs
from fairseq_plugins.modules.memory_reading import MemoryReading
from fairseq_plugins.modules.options import SHARE, WEIGHT, Range, option
from fairseq_plugins.modules.write_policy import POLICIES, WritePolicy


@dataclass
class MemoryCrossEntropyConfig(FairseqDataclass):
    """Weights of the losses, and options of what is remembered."""

    label_smoothing: float = option(
        0.1, "amount of label smoothing; 0 for none", Range(least=0, below=1)
    )
    memory_loss_weight: float = option(
        1.0, "weight of the margin loss relative to the cross-entropy", WEIGHT
    )
    softmax_alone: float = option(
        1.0,
        "weight of the loss of the softmax without the memory, from 0 to 1; at 0 the network does "
        "not memorise what the memory already knows",
        SHARE,
    )
    memory_write: ChoiceEnum(list(POLICIES)) = option(  # type: ignore[valid-type]
        "all",
        "target tokens to remember: all, those that surprise the model, or those that are rare in "
        "training",
    )
    memory_surprise: float = option(
        0.5,
        "for surprise: remember tokens with a lower probability than this",
        Range(above=0, most=1),
    )
    memory_rare: int = option(
        100, "for rare: remember tokens that occur less often than this in training", Range(least=1)
    )
    sentence_avg: bool = II("optimization.sentence_avg")


def policy_for(dictionary: Any, kind: str, surprise: float, rare: int) -> WritePolicy:
    """Return the policy of what to remember, for the words of a dictionary.

    Raises:
        InputError: if the policy needs counts that the dictionary lacks, or numbers are impossible.
    """
    counts = torch.tensor(dictionary.count)
    if kind == "rare" and counts.max() <= 1:
        raise InputError(
            "--memory-write rare: this dictionary has no counts of its words in the training text; "
            "use surprise or all"
        )
    # Dictionary files leave out </s> and <unk>, which then seem to be rare.
    counts[: dictionary.nspecial] = torch.iinfo(counts.dtype).max
    try:
        return WritePolicy(kind, surprise, rare, counts)
    except ValueError as error:
        raise InputError(str(error)) from error


@register_criterion("memory_cross_entropy", dataclass=MemoryCrossEntropyConfig)
class MemoryCrossEntropy(FairseqCriterion):
    """Sum over tokens of the label-smoothed CE of the softmax, the weighted margin loss and, if the
    memory's distribution is mixed in, the CE of the mixture.
    """

    def __init__(
        self,
        task: Any,
        label_smoothing: float,
        memory_loss_weight: float,
        softmax_alone: float,
        memory_write: str,
        memory_surprise: float,
        memory_rare: int,
        sentence_avg: bool,
    ) -> None:
        super().__init__(task)
        self.label_smoothing = label_smoothing
        self.memory_loss_weight = memory_loss_weight
        self.softmax_alone = softmax_alone
        self.sentence_avg = sentence_avg
        self.policy = policy_for(
            task.target_dictionary, str(memory_write), memory_surprise, memory_rare
        )

    def forward(self, model: Any, sample: dict, reduce: bool = True) -> tuple[Tensor, int, dict]:
        """Return the loss of a sample, the number to divide it by, and the values to log."""
        logits, extra = model(**sample["net_input"])
        target = sample["target"]  # [batch, time]
        real = target != self.padding_idx
        log_prob, mean_log_prob = token_log_probs(logits.flatten(0, 1), target.flatten())
        log_prob, mean_log_prob = log_prob[real.flatten()], mean_log_prob[real.flatten()]  # [N]

        nll = -log_prob.sum()
        # The smoothed distribution gives eps / (vocabulary - 1) to every wrong token.
        share = self.label_smoothing / (logits.shape[-1] - 1)
        loss = (1 - self.label_smoothing - share) * nll - share * (
            logits.shape[-1] * mean_log_prob.sum()
        )
        log: dict[str, float] = {}
        reading: MemoryReading | None = extra.get("memory")
        if reading is not None and reading.hits is not None:
            # The same value, but the softmax learns from it only the share that it does not learn
            # alone.
            alone = self.softmax_alone
            mixed = reading.mix_target(torch.lerp(log_prob, log_prob.detach(), alone), target[real])
            margin_loss, log = self._learn(reading, reading.hits, target[real], mixed)
            if reading.gate is not None:
                # The gate learns when not to trust the memory.
                nll = -mixed.sum()
                loss = alone * loss + nll
            loss = loss + self.memory_loss_weight * margin_loss
        size = len(target) if self.sentence_avg else sample["ntokens"]
        log |= {
            "loss": float(loss.detach()),
            "nll_loss": float(nll.detach()),
            "ntokens": sample["ntokens"],
            "nsentences": len(target),
            "sample_size": size,
        }
        return loss, size, log

    def _learn(
        self, reading: MemoryReading, hits: MemoryHits, target: Tensor, log_prob: Tensor
    ) -> tuple[Tensor, dict]:
        """Compute the margin loss, and stage pairs for the next commit."""
        memory = reading.memory
        margin_loss = memory.loss(reading.query, target, hits).sum()
        if memory.training:
            chosen = self.policy(target, log_prob)
            memory.stage(reading.query, target, hits, chosen=chosen)
        log = {
            "memory_loss": float(margin_loss.detach()),
            "memory_right": int((hits.values[:, 0] == target).sum()),
            "memory_confidence": float(hits.confidence.detach().sum()),
            "memory_queries": len(target),
        }
        if reading.gate is not None:
            log["memory_gate"] = float(reading.gate.detach().sigmoid().sum())
        return margin_loss, log

    @staticmethod
    def reduce_metrics(logging_outputs: list[dict]) -> None:
        """Average over all workers; log the health of the memory beside the losses."""
        tokens, size = total(logging_outputs, "ntokens"), total(logging_outputs, "sample_size")
        loss, nll = total(logging_outputs, "loss"), total(logging_outputs, "nll_loss")
        metrics.log_scalar("loss", loss / size / NATS_PER_BIT, size, round=3)
        metrics.log_scalar("nll_loss", nll / tokens / NATS_PER_BIT, tokens, round=3)
        metrics.log_derived("ppl", lambda meters: get_perplexity(meters["nll_loss"].avg))
        log_memory_health(logging_outputs)

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        """Return True: all of them are sums."""
        return True
