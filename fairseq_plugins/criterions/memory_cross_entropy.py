"""Label-smoothed cross-entropy plus the memory's margin loss.

Also stages in the memory what the model was asked and should have answered; the task commits it
after the backward pass. Works for models without memory too, where it is the plain loss.
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
from fairseq_plugins.modules.memory_reader import MemoryReading
from fairseq_plugins.modules.options import SHARE, WEIGHT, Range, option
from fairseq_plugins.modules.write_policy import POLICIES, WritePolicy


@dataclass
class MemoryCrossEntropyConfig(FairseqDataclass):
    """Weights of the losses, and what is remembered."""

    label_smoothing: float = option(0.1, "0 means none", Range(least=0, below=1))
    memory_loss_weight: float = option(
        1.0, "weight of the margin loss against the cross-entropy", WEIGHT
    )
    softmax_alone: float = option(
        1.0,
        "how much a softmax that a memory is mixed into learns as if there were none; at 0 it "
        "does not learn by heart what the memory knows",
        SHARE,
    )
    memory_write: ChoiceEnum(list(POLICIES)) = option(  # type: ignore[valid-type]
        "all",
        "remember all target tokens, those that surprised the model, or those that are rare in "
        "training",
    )
    memory_surprise: float = option(
        0.5, "for surprise: remember tokens below this probability", Range(above=0, most=1)
    )
    memory_rare: int = option(
        100, "for rare: remember tokens seen less often than this", Range(least=1)
    )
    sentence_avg: bool = II("optimization.sentence_avg")


def policy_for(dictionary: Any, kind: str, surprise: float, rare: int) -> WritePolicy:
    """What of a text is to be remembered: a policy for the words of a dictionary.

    Raises:
        InputError: if it does not know its words' counts and needs them, or numbers are impossible.
    """
    counts = torch.tensor(dictionary.count)
    if kind == "rare" and counts.max() <= 1:
        raise InputError(
            "--memory-write rare: this dictionary does not tell how often training has its words; "
            "take surprise or all"
        )
    # Files of dictionaries leave out </s> and <unk>, which then seem to be rare.
    counts[: dictionary.nspecial] = torch.iinfo(counts.dtype).max
    try:
        return WritePolicy(kind, surprise, rare, counts)
    except ValueError as error:
        raise InputError(str(error)) from error


@register_criterion("memory_cross_entropy", dataclass=MemoryCrossEntropyConfig)
class MemoryCrossEntropy(FairseqCriterion):
    """Sum over tokens of the label-smoothed CE of the softmax, the weighted margin loss and,
    where the memory's distribution is mixed in, the CE of the mixture.
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
        """Loss of a sample, the number it has to be divided by, and what to log."""
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
            # The same number, but the softmax learns by it only as much as not alone.
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
        """The margin loss, and pairs for the next commit."""
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
        """Average over all workers; memory health beside the losses."""
        tokens, size = total(logging_outputs, "ntokens"), total(logging_outputs, "sample_size")
        loss, nll = total(logging_outputs, "loss"), total(logging_outputs, "nll_loss")
        metrics.log_scalar("loss", loss / size / NATS_PER_BIT, size, round=3)
        metrics.log_scalar("nll_loss", nll / tokens / NATS_PER_BIT, tokens, round=3)
        metrics.log_derived("ppl", lambda meters: get_perplexity(meters["nll_loss"].avg))
        log_memory_health(logging_outputs)

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        """All of them are sums."""
        return True
