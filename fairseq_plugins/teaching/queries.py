"""Fits the queries of an attached memory: an affine function of the decoder's features.

A memory compares directions, so it matters where the features are measured from and in which
units. All kinds of queries are weights of one layer, :attr:`MemoryReader.project`, so a model
applies them in the same way:

- ``features``: as they are, except that their mean is subtracted;
- ``scaled``: each feature divided by its standard deviation;
- ``pca``: their principal components, the strongest ones first, each divided by a power of its
  standard deviation;
- ``trained``: begins as ``pca``, and minimises the margin loss of a memory that is filled with the
  text meanwhile, while the base stays as it is (Kaiser et al. 2017).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from fairseq_plugins.errors import InputError
from fairseq_plugins.modules.memory_reader import MemoryReader
from fairseq_plugins.teaching.loaded_checkpoint import LoadedCheckpoint

QUERIES = ("features", "scaled", "pca", "trained")
KEEPS_WIDTH = ("features", "scaled")  # keys are as wide as the features
WHITENING = 0.5  # power of the deviations that components are divided by; 1 makes all equal
LEARNING_RATE = 1e-3
SMALLEST_DEVIATION = 1e-6  # of a feature that is always the same


@dataclass(frozen=True)
class QueryReport:
    """Summary of fitting queries."""

    kind: str
    width: int
    """Width of the keys."""
    tokens: int
    """Number of tokens to which the queries were fitted."""
    variance: float
    """Share of the features' variance that the queries retain, from 0 to 1."""

    def __str__(self) -> str:
        """Return one line for people."""
        return (
            f"queries of width {self.width} ({self.kind}), fitted to {self.tokens:,} tokens, "
            f"retain {self.variance:.1%} of the variance"
        )


def fit_queries(
    loaded: LoadedCheckpoint, kind: str, split: str, tokens: int, updates: int = 0
) -> QueryReport:
    """Set the projection of a model's reader.

    Args:
        loaded: its memory is empty.
        kind: one of ``QUERIES``.
        split: of its corpus.
        tokens: number of target tokens to read, at most.
        updates: for ``trained``.

    Raises:
        InputError: if the split has too few tokens.
    """
    reader = next(m for m in loaded.model.modules() if isinstance(m, MemoryReader))
    seen = _features(loaded, split, tokens)
    if len(seen) < 2:
        raise InputError(f"{loaded.corpus.data}: {split} is too short to fit queries to")
    weight = _weight(seen, kind, reader.memory.key_dim)
    with torch.no_grad():
        reader.project.weight.copy_(weight)
        reader.project.bias.copy_(-weight @ seen.mean(0))
    if kind == "trained":
        _train(loaded, reader, split, updates)
    return QueryReport(kind, len(weight), len(seen), _retained(seen, weight))


def _features(loaded: LoadedCheckpoint, split: str, tokens: int) -> Tensor:
    """Return the features [N, dim] of the first tokens in the order of batches, in float32."""
    found: list[Tensor] = []
    for features, _ in _read(loaded, split, epoch=1):
        found.append(features)
        if sum(map(len, found)) >= tokens:
            break
    return torch.cat(found)[:tokens] if found else torch.empty(0)


def _read(loaded: LoadedCheckpoint, split: str, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield features [N, dim] and targets [N] of all batches."""
    for sample in loaded.batches(split, epoch):
        decoded = loaded.decode(sample)
        assert decoded.reading.state is not None  # of a reader that interpolates
        yield decoded.reading.state.float(), decoded.target


def _weight(features: Tensor, kind: str, width: int) -> Tensor:
    """Return the weight [width, dim] of the projection."""
    if kind == "features":
        return torch.eye(features.shape[1], device=features.device)
    if kind == "scaled":
        return torch.diag(1 / features.std(0).clamp(min=SMALLEST_DEVIATION))
    variances, directions = torch.linalg.eigh(torch.cov(features.T.double()))  # in ascending order
    deviations = variances.flip(0)[:width].clamp(min=SMALLEST_DEVIATION**2).sqrt()
    weight = directions.flip(1)[:, :width].T / deviations.unsqueeze(1) ** WHITENING
    return weight.float()


def _retained(features: Tensor, weight: Tensor) -> float:
    """Return the share of the variance in the space that the rows of a weight span."""
    centred = features - features.mean(0)
    basis, _ = torch.linalg.qr(weight.T)
    return float((centred @ basis).square().sum() / centred.square().sum())


def _train(loaded: LoadedCheckpoint, reader: MemoryReader, split: str, updates: int) -> None:
    """Minimise the margin loss of a memory that is filled with the split meanwhile."""
    memory, optimizer = reader.memory, torch.optim.Adam(reader.project.parameters(), LEARNING_RATE)
    done, epoch = 0, 1
    while done < updates:
        for features, target in _read(loaded, split, epoch):
            query = reader.project(features.detach())
            hits = memory.query(query.detach())
            optimizer.zero_grad()
            memory.loss(query, target, hits).mean().backward()
            optimizer.step()
            memory.write(query.detach(), target, hits=hits)
            done += 1
            if done >= updates:
                break
        epoch += 1
    memory.clear()
