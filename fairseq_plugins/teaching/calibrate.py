"""Fits how far a reader trusts its memory.

A gate that was trained with a small memory, which always contained recent training sentences, has
not learned how far to trust a large one. It is fitted again on sentences that are not in the
memory, with everything else frozen. It has few parameters, so a development set is enough.
"""

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from fairseq_plugins.errors import InputError
from fairseq_plugins.memory import MemoryHits
from fairseq_plugins.modules.memory_reader import MemoryReader
from fairseq_plugins.modules.mixing import mix_target
from fairseq_plugins.teaching.loaded_checkpoint import LoadedCheckpoint

STEPS = 300
LEARNING_RATE = 0.02
# Nats for a change of 1 in a weight of the gate on the state. A gate has as many of these weights
# as the state is wide; without the penalty, it memorises a small development set.
STIFFNESS = 100.0
SMALLEST_DEVIATION = 1e-3  # of a feature that hardly ever changes


@dataclass(frozen=True)
class Calibration:
    """Negative log-likelihood per target token, in nats, on the split used for calibration."""

    tokens: int
    softmax: float
    """Negative log-likelihood per token, in nats, of the model without its memory."""
    before: float
    after: float

    def __str__(self) -> str:
        """Return one line for people."""
        return (
            f"negative log-likelihood of {self.tokens:,} tokens: {self.softmax:.4f} nats by the "
            f"softmax alone, {self.before:.4f} with the memory, {self.after:.4f} calibrated"
        )


@dataclass(frozen=True)
class _Tokens:
    """Everything that the answer at N target tokens depends on, except what is fitted."""

    hits: MemoryHits
    state: Tensor  # [N, state_dim], input of the gate
    target: Tensor  # [N]
    log_prob: Tensor  # [N], of the target, by the softmax

    @torch.no_grad()
    def mixed_nll(self, reader: MemoryReader) -> float:
        """Return the mean negative log-likelihood of the reader's mixture."""
        log_weights = reader.log_weights(self.hits)
        gate = reader.gate_logit(self.state, self.hits, log_weights)
        return float(self.nll(log_weights, gate))

    def nll(self, log_weights: Tensor, gate: Tensor) -> Tensor:
        """Return the same for given weights [N, k] and logits of the gate [N]."""
        values = self.hits.values
        return -mix_target(self.log_prob, self.target, values, log_weights, gate).mean()


def calibrate(loaded: LoadedCheckpoint, split: str) -> Calibration:
    """Fit the temperature and the gate of a model's reader by maximum likelihood.

    Adam minimises, on all target tokens of a split at once, their negative log-likelihood in the
    mixture plus ``STIFFNESS`` * |w - w_0|^2, where w are the gate's weights on the state and w_0
    their initial values. The result is deterministic.

    Args:
        loaded: its reader is changed.
        split: of its corpus; best is one that is neither in the memory nor used for testing.

    Returns:
        The improvement.

    Raises:
        InputError: if the reader does not interpolate, or the memory is empty.
    """
    reader = next(m for m in loaded.model.modules() if isinstance(m, MemoryReader))
    if reader.mode == "embed":
        raise InputError("--calibrate: this model was trained with --memory-read embed, "
                         "which has no gate; leave the option out")  # fmt: skip
    if len(reader.memory) == 0:
        raise InputError("--calibrate: the memory is empty; fill it first")
    tokens = _collect(loaded, reader, split)
    before = tokens.mixed_nll(reader)
    _fit(reader, tokens)
    after = tokens.mixed_nll(reader)
    return Calibration(len(tokens.target), float(-tokens.log_prob.mean()), before, after)


def _fit(reader: MemoryReader, tokens: _Tokens) -> None:
    """Fit with Adam, whose steps are equal for all parameters, so features are scaled."""
    features = reader.features(tokens.hits, reader.log_weights(tokens.hits))
    mean, deviation = features.mean(0), features.std(0).clamp(min=SMALLEST_DEVIATION)
    widths = [reader.gate.in_features - reader.FEATURES, reader.FEATURES]
    of_state, of_features = reader.gate.weight.detach().split(widths, dim=1)
    start = of_state.clone()
    weight = torch.cat([of_state, of_features * deviation], dim=1).requires_grad_()
    bias = (reader.gate.bias.detach() + of_features[0] @ mean).requires_grad_()
    optimizer = torch.optim.Adam([reader.log_temperature, weight, bias], lr=LEARNING_RATE)
    for _ in range(STEPS):
        log_weights = reader.log_weights(tokens.hits)
        features = reader.features(tokens.hits, log_weights)
        seen = torch.cat([tokens.state, (features - mean) / deviation], dim=1)[:, reader.unseen :]
        gate = F.linear(seen, weight[:, reader.unseen :], bias).squeeze(1)
        change = (weight[:, : -reader.FEATURES] - start).square().sum()
        loss = tokens.nll(log_weights, gate) + STIFFNESS / len(tokens.target) * change
        optimizer.zero_grad()
        loss.backward(inputs=[reader.log_temperature, weight, bias])
        optimizer.step()
    with torch.no_grad():
        of_state, of_scaled = weight.split(widths, dim=1)
        reader.gate.weight.copy_(torch.cat([of_state, of_scaled / deviation], dim=1))
        reader.gate.bias.copy_(bias - (of_scaled / deviation)[0] @ mean)


def _collect(loaded: LoadedCheckpoint, reader: MemoryReader, split: str) -> _Tokens:
    """Decode a split once, and keep the inputs of the reader, without lessons."""
    states: list[Tensor] = []
    parts: list[tuple[MemoryHits, Tensor, Tensor]] = []
    for sample in loaded.batches(split):
        decoded = loaded.decode(sample)
        state, hits = decoded.reading.state, decoded.reading.hits
        assert state is not None and hits is not None  # for a reader that interpolates
        states.append(state.float())
        parts.append((reader.others(hits), decoded.target, decoded.log_prob()))
    all_hits, targets, log_probs = zip(*parts, strict=True)
    names = [field.name for field in fields(MemoryHits)]
    hits = MemoryHits(*(torch.cat([getattr(hits, name) for hits in all_hits]) for name in names))
    return _Tokens(hits, torch.cat(states), torch.cat(targets), torch.cat(log_probs))
