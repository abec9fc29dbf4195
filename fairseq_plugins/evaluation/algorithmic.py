"""Measures how well a model has learned an algorithm: by length, by rarity, and over its life.

Nothing has to be decoded: greedy decoding gets a symbol right if and only if it is the most
probable one after the correct symbols before it, so a sequence is correct if all of its symbols
are.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fairseq import checkpoint_utils
from torch import Tensor

from fairseq_plugins.data.algorithmic import AlgorithmicDataset
from fairseq_plugins.data.rare_symbols import RareSymbols
from fairseq_plugins.errors import InputError
from fairseq_plugins.memory import memories_in
from fairseq_plugins.progress import Progress

LIFE_TEXT = 2  # number of the text for repeated symbols; lower ones are the task's


@dataclass(frozen=True)
class Right:
    """Shares of correct answers, in per cent.

    Attributes:
        sequences: entirely correct ones.
        symbols: of all but the end.
        asked: symbols that are f of another one; other tasks have none.
        copied: symbols that are as in the source.
    """

    sequences: float
    symbols: float
    asked: float
    copied: float

    def as_dict(self) -> dict[str, float]:
        """Return those that exist: JSON has no NaN."""
        return {name: share for name, share in asdict(self).items() if not math.isnan(share)}


class Solver:
    """A trained model and its task.

    Args:
        path: of the checkpoint.
        device: to compute on.

    Raises:
        InputError: if it was trained with another task.
    """

    def __init__(self, path: Path, device: str = "cpu") -> None:
        models, self.cfg, self.task = checkpoint_utils.load_model_ensemble_and_task([str(path)])
        if not hasattr(self.task, "rare"):
            raise InputError(f"{path}: was not trained with --task algorithmic")
        self.device = torch.device(device)
        self.model = models[0].to(self.device).eval()
        self.memory = next(iter(memories_in(self.model)), None)

    @property
    def rare(self) -> RareSymbols:
        """Texts of the task.

        Raises:
            InputError: if it has another algorithm.
        """
        if self.task.rare is None:
            raise InputError("only --algorithm rare_symbols has rare symbols")
        return self.task.rare

    def batches(self, draw: Callable, length: int, count: int, batch_size: int) -> Iterator[dict]:
        """Yield samples with examples 0 to ``count`` - 1."""
        words = self.task.source_dictionary
        dataset = AlgorithmicDataset(draw, lambda _: length, words, 1, batch_size)
        starts = range(0, count, batch_size)
        for first in Progress(starts, "Solving", unit=" batches", leave=False):
            numbers = range(first, min(first + batch_size, count))
            sample = dataset.collater([dataset[number] for number in numbers])
            yield _moved(sample, self.device)

    @torch.no_grad()
    def solve(self, sample: dict) -> tuple[Tensor, Any]:
        """Return which symbols but the end are correct [batch, time], and the model's output."""
        output = self.model(**sample["net_input"])
        answer = self.model.get_normalized_probs(output, log_probs=True, sample=sample).argmax(-1)
        return (answer == sample["target"])[:, :-1], output


def by_length(
    solver: Solver, lengths: Sequence[int], sequences: int, batch_size: int
) -> dict[int, Right]:
    """Return shares of correct answers for each length of an algorithm's examples."""
    result = {}
    for length in lengths:
        subset = f"test_{length}"
        solver.task.load_dataset(subset)
        draw = solver.task.dataset(subset).draw
        right = [solver.solve(s)[0] for s in solver.batches(draw, length, sequences, batch_size)]
        result[length] = _shares(torch.cat(right))
    return result


def by_rarity(
    solver: Solver, text: int, sequences: int, length: int, batch_size: int
) -> dict[str, Right]:
    """Return shares of correct answers for rare symbols, by how often training asked for f of them.

    Args:
        solver: of rare symbols.
        text: number of the test text.
        sequences: number for each bucket; all symbols of a sequence are from one bucket.
        length: n, symbols of a sequence.
        batch_size: number of sequences in a batch.
    """
    rare, result = solver.rare, {}
    for bucket, numbers in rare.buckets.items():
        if not len(numbers):
            continue

        def draw(index: int, n: int, bucket: str = bucket) -> tuple[list[str], list[str]]:
            return rare.test(text, index, n, bucket)

        right, asked = [], []
        for sample in solver.batches(draw, length, sequences, batch_size):
            right.append(solver.solve(sample)[0])
            asked.append(asked_for(solver.task.source_dictionary, sample))
        result[bucket] = _shares(torch.cat(right), torch.cat(asked))
    return result


def lifelong(solver: Solver, symbols: int, showings: int, length: int) -> dict[int, float]:
    """Measure repeated symbols for which training never asked for f.

    Sequences come one at a time. Each is first solved, then written to the memory, if there is one.

    Args:
        solver: of rare symbols; its memory changes.
        symbols: number of symbols.
        showings: of each symbol.
        length: n, symbols of a sequence.

    Returns:
        Percentage correct at each showing, counted from 1.

    Raises:
        InputError: if training has seen too many symbols.
    """
    rare = solver.rare
    unseen = rare.buckets["0"]
    if len(unseen) < max(symbols, length):
        raise InputError(
            f"training left out f of only {len(unseen)} symbols, but {symbols} are needed, in "
            f"sequences of {length}; ask for fewer"
        )
    rng = np.random.default_rng((rare.seed, LIFE_TEXT))
    chosen = rng.choice(unseen, symbols, replace=False)
    # In every round each symbol occurs once in a sequence, and f of it is asked for half the time.
    rounds = [rng.permutation(chosen) for _ in range(2 * showings + 4)]
    examples = [
        rare.example(rng.integers(2, size=len(part)), part)
        for order in rounds
        for part in np.split(order, range(length, symbols, length))
    ]
    seen = dict.fromkeys(chosen.tolist(), 0)
    counts, rights = np.zeros(showings + 1), np.zeros(showings + 1)
    words = solver.task.source_dictionary
    for sample in solver.batches(lambda index, _: examples[index], length, len(examples), 1):
        right, output = solver.solve(sample)
        asked = asked_for(words, sample)[0]
        numbers = [int(words[token][1:]) for token in _symbols(sample)[0].tolist()]
        for number, is_asked, is_right in zip(
            numbers, asked.tolist(), right[0].tolist(), strict=True
        ):
            if is_asked and seen[number] < showings:
                seen[number] += 1
                counts[seen[number]] += 1
                rights[seen[number]] += is_right
        if solver.memory is not None:
            if "memory" not in output[1]:
                raise InputError(
                    "the memory had not joined in yet when this checkpoint was written "
                    "(--memory-from-update); use a later one, or fill its memory"
                )
            reading, target = output[1]["memory"], sample["target"]
            solver.memory.write(reading.query, target[reading.positions])
    return {k: 100 * rights[k] / counts[k] for k in range(1, showings + 1)}


@torch.no_grad()
def watch(solver: Solver, length: int) -> tuple[list[np.ndarray], np.ndarray | None, list[str]]:
    """Run a Neural GPU on one example, and return its states.

    Args:
        solver: of a Neural GPU.
        length: of the example.

    Returns:
        The state after every step [n, h, m], the output tape at the end [n, h, m] if there is one,
        and the source's symbols.

    Raises:
        InputError: if the model is not a Neural GPU.
    """
    encoder, decoder = solver.model.encoder, solver.model.decoder
    cores = [part.core for part in (encoder, decoder) if hasattr(part, "core")]
    if not cores:
        raise InputError("only Neural GPUs have a state to look at")
    images: list[np.ndarray] = []
    tapes: list[np.ndarray] = []

    def image(tensor: Tensor) -> np.ndarray:
        return tensor[0].permute(1, 2, 0).float().cpu().numpy()  # [n, h, m]

    hooks = []
    for stack in [stack for core in cores for stack in core.stacks]:
        hooks.append(stack.register_forward_hook(lambda *a: images.append(image(a[2]))))
        if stack.of_tape is not None:
            seen = stack.of_tape.register_forward_hook(lambda *a: tapes.append(image(a[1][0])))
            hooks.append(seen)
    subset = f"test_{length}"
    solver.task.load_dataset(subset)
    sample = next(solver.batches(solver.task.dataset(subset).draw, length, 1, 1))
    solver.solve(sample)
    for hook in hooks:
        hook.remove()
    words = solver.task.source_dictionary
    labels = [words[token] for token in sample["net_input"]["src_tokens"][0].tolist()]
    labels += [""] * (len(images[0]) - len(labels))
    return images, tapes[-1] if tapes else None, labels


def asked_for(words: Any, sample: dict) -> Tensor:
    """Return where f is asked for [batch, time] bool: the bits so far have an odd sum."""
    bits = sample["net_input"]["src_tokens"][:, 0:-1:2] == words.index("1")
    return bits.long().cumsum(dim=1) % 2 == 1


def _symbols(sample: dict) -> Tensor:
    return sample["net_input"]["src_tokens"][:, 1:-1:2]


def _shares(right: Tensor, asked: Tensor | None = None) -> Right:
    def per_cent(chosen: Tensor) -> float:
        return 100 * float(chosen.double().mean()) if len(chosen) else float("nan")

    none = right[:0].flatten()
    return Right(
        per_cent(right.all(dim=1)),
        per_cent(right.flatten()),
        per_cent(none if asked is None else right[asked]),
        per_cent(none if asked is None else right[~asked]),
    )


def _moved(sample: dict, device: torch.device) -> dict:
    return {
        name: _moved(part, device) if isinstance(part, dict)
        else part.to(device) if isinstance(part, Tensor) else part
        for name, part in sample.items()
    }  # fmt: skip


def shares_table(shares: Mapping[Any, Right], first: str) -> str:
    """Return a table with a row for each key."""
    columns = ("sequences", "symbols", "asked", "copied")
    lines = [f"{first:<10}" + "".join(f"{name:>11}" for name in columns)]
    for key, share in shares.items():
        values = (getattr(share, name) for name in columns)
        lines.append(f"{key!s:<10}" + "".join(f"{_cell(value):>11}" for value in values))
    return "\n".join(lines)


def _cell(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.2f}"
