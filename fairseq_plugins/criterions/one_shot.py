"""Losses for one-shot learning: neighbours within the batch, and the memory's margin loss.

In training, both bring drawings of one class close to each other, and every drawing is staged in
the memory. In validation, episodes are played with classes that are not trained on.
"""

from dataclasses import dataclass
from typing import Any

import torch
from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics
from omegaconf import II
from torch import Tensor

from fairseq_plugins.criterions.memory_health import log_memory_health, total
from fairseq_plugins.data.episodes import Protocol, play
from fairseq_plugins.errors import InputError
from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.modules.cross_entropy import NATS_PER_BIT
from fairseq_plugins.modules.one_shot import neighborhood_loss
from fairseq_plugins.modules.options import COUNT, WEIGHT, Range, option

AT_ONCE = 1000  # number of drawings embedded at once in validation
PROTOCOLS = [Protocol(ways, shots) for ways in (5, 20) for shots in (1, 5)]


@dataclass
class OneShotConfig(FairseqDataclass):
    """Weights of the losses, and size of the validation."""

    neighborhood_weight: float = option(
        1.0, "weight of the neighbourhood loss within the batch; 0 for none", WEIGHT
    )
    neighborhood_temperature: float = option(
        0.1, "temperature of the cosines in the neighbourhood loss", Range(above=0, most=1_000)
    )
    memory_loss_weight: float = option(
        0.0, "weight of the memory's margin loss, the only loss in the paper", WEIGHT
    )
    valid_episodes: int = option(1000, "number of validation episodes for every protocol", COUNT)
    seed: int = II("common.seed")


@register_criterion("one_shot", dataclass=OneShotConfig)
class OneShot(FairseqCriterion):
    """The weighted sum of the two losses over drawings."""

    def __init__(
        self,
        task: Any,
        neighborhood_weight: float,
        neighborhood_temperature: float,
        memory_loss_weight: float,
        valid_episodes: int,
        seed: int,
    ) -> None:
        super().__init__(task)
        if neighborhood_weight and task.cfg.drawings < 2:
            raise InputError(
                f"--drawings {task.cfg.drawings}: the loss within a batch compares drawings of a "
                "class; use 2, or --neighborhood-weight 0 --memory-loss-weight 1 for the memory's "
                "loss alone"
            )
        self.neighborhood_weight = neighborhood_weight
        self.neighborhood_temperature = neighborhood_temperature
        self.memory_loss_weight = memory_loss_weight
        self.episodes, self.seed = valid_episodes, seed

    def forward(self, model: Any, sample: dict, reduce: bool = True) -> tuple[Tensor, int, dict]:
        """Return the loss of a sample, the number to divide it by, and the values to log."""
        target = sample["target"]  # [N]
        log = {"ntokens": sample["ntokens"], "nsentences": len(target), "sample_size": len(target)}
        if not model.training:
            log |= self._validate(model, sample)
            return target.new_zeros((), dtype=torch.float32), len(target), log
        query, extra = model(**sample["net_input"])
        loss = query.new_zeros(())
        if self.neighborhood_weight:
            nearby = neighborhood_loss(query, target, self.neighborhood_temperature)
            loss = loss + self.neighborhood_weight * nearby.sum()
        margin_loss, told = self._learn(extra["memory"].memory, query, target)
        loss = loss + margin_loss
        return loss, len(target), log | told | {"loss": float(loss.detach())}

    def _learn(self, memory: KeyValueMemory, query: Tensor, target: Tensor) -> tuple[Tensor, dict]:
        """Compute the weighted margin loss, and stage pairs for the next commit."""
        # The loss uses all neighbours, writing uses the best one.
        hits = memory.query(query, neighbors=None if self.memory_loss_weight else 1)
        log: dict[str, float] = {
            "memory_right": int((hits.values[:, 0] == target).sum()),
            "memory_queries": len(target),
        }
        margin_loss = query.new_zeros(())
        if self.memory_loss_weight:
            margin_loss = memory.loss(query, target, hits).sum()
            log["memory_loss"] = float(margin_loss.detach())
        memory.stage(query, target, hits)
        return self.memory_loss_weight * margin_loss, log

    def _validate(self, model: Any, sample: dict) -> dict[str, float]:
        """Return the percentages of queries that are classified correctly in episodes."""
        parts = [model(part) for part in sample["net_input"]["images"].split(AT_ONCE)]
        query, memory = torch.cat([part[0] for part in parts]), parts[0][1]["memory"].memory
        keys = query.view(-1, sample["drawings"], query.shape[1])  # [classes, drawings, D]
        log: dict[str, float] = {"episodes": self.episodes}
        for protocol in PROTOCOLS:
            if protocol.fits(*keys.shape[:2]):
                right = play(keys, protocol, self.episodes, self.seed, memory.temperature)
                log[protocol.name] = 100 * float(right.sum())
        return log

    @staticmethod
    def reduce_metrics(logging_outputs: list[dict]) -> None:
        """Average over all workers; log the health of the memory beside the losses.

        In validation, the loss is the percentage of errors, averaged over the protocols.
        """
        size, episodes = total(logging_outputs, "sample_size"), total(logging_outputs, "episodes")
        if episodes:
            played = [p.name for p in PROTOCOLS if any(p.name in log for log in logging_outputs)]
            accuracies = {name: total(logging_outputs, name) / episodes for name in played}
            for name, accuracy in accuracies.items():
                metrics.log_scalar(name, accuracy, episodes, round=2)
            # Without --best-checkpoint-metric, the checkpoint with the fewest errors is the best.
            errors = 100 - sum(accuracies.values()) / max(len(played), 1)
            metrics.log_scalar("loss", errors, episodes, round=2)
            return
        loss = total(logging_outputs, "loss") / size / NATS_PER_BIT
        metrics.log_scalar("loss", loss, size, round=3)
        log_memory_health(logging_outputs)

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        """Return True: all of them are sums."""
        return True
