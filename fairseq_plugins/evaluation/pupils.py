"""Ways for a translator to learn from lessons, for comparison.

Every pupil starts from the same translator, and restores it when it forgets.
"""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from fairseq_plugins.evaluation.lesson_sets import Asked
from fairseq_plugins.memory.state import EMPTY
from fairseq_plugins.modules.memory_reader import MemoryReader
from fairseq_plugins.modules.mixing import mix_target
from fairseq_plugins.modules.term_reader import TermReader
from fairseq_plugins.progress import Progress
from fairseq_plugins.teaching.about import read_about
from fairseq_plugins.teaching.folder import load_vocabularies
from fairseq_plugins.teaching.network import Network
from fairseq_plugins.teaching.pieces import Vocabulary
from fairseq_plugins.teaching.terms import NEW
from fairseq_plugins.teaching.text import normalise

AT_ONCE = 200  # sentences between two steps of a progress bar

Pairs = Sequence[tuple[str, str]]


class Pupil(Protocol):
    """A translator that can be taught sentence pairs."""

    def teach(self, pairs: Pairs) -> None:
        """Learn from sentence pairs."""

    def translate(self, sentences: Sequence[str], beam: int) -> list[str]:
        """Translate sentences."""

    def forget(self) -> None:
        """Restore the state before teaching."""


class Alone:
    """A translator that learns nothing; the others are based on it.

    Args:
        folder: of the translator.
        device: to compute on.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        about = read_about(folder)
        self.languages = about.source, about.target
        self.network = Network(folder, about, device)
        self.source, self.target = load_vocabularies(folder, self.network.task)

    def teach(self, pairs: Pairs) -> None:
        """Do nothing."""

    def forget(self) -> None:
        """Do nothing."""

    def translate(
        self,
        sentences: Sequence[str],
        beam: int,
        required: Sequence[Sequence[Tensor]] | None = None,
    ) -> list[str]:
        """Translate sentences, each as one piece of text.

        Args:
            sentences: raw.
            beam: width of the search.
            required: for each sentence, the tokens [P] of phrases that its translation must
                contain.
        """
        found: list[str] = []
        with Progress(total=len(sentences), desc="translating", unit=" sentences") as bar:
            for begin in range(0, len(sentences), AT_ONCE):
                some = sentences[begin : begin + AT_ONCE]
                phrases = None if required is None else required[begin : begin + AT_ONCE]
                tokens = [self.cut(self.source, one) for one in some]
                hypotheses = self.network.translate(tokens, beam, required=phrases)
                found += [self.target.decode(one.tokens).text for one in hypotheses]
                bar.update(len(some))
        return found

    def cut(self, vocabulary: Vocabulary, sentence: str) -> Tensor:
        """Return the tokens of a sentence with its end, cut to the model's limit."""
        ids = vocabulary.encode(normalise(sentence)).ids
        return torch.cat([ids[:-1][: self.network.longest], ids[-1:]])

    def knows(self, source_word: str) -> bool:
        """Return whether a source word occurs more than ``NEW`` times in the training text."""
        reader: TermReader | None = getattr(self.network.model.decoder, "terms", None)
        if reader is None:
            return True
        tokens = self.source.encode(normalise(source_word)).ids[:-1].to(self.network.device)
        numbers = reader.source.numbers(tokens.unsqueeze(0))[0][0]
        return bool(reader.source_counts.of(numbers[:1]) > NEW)

    def tokens(self, pairs: Pairs) -> list[tuple[Tensor, Tensor]]:
        """Return the tokens of both sides of sentence pairs."""
        return [(self.cut(self.source, a), self.cut(self.target, b)) for a, b in pairs]


class WithMemory:
    """Remembers lessons, as a translator in use does.

    Args:
        alone: the translator.
    """

    def __init__(self, alone: Alone) -> None:
        self.alone, self.network = alone, alone.network
        self._slots: list[Tensor] = []

    def teach(self, pairs: Pairs) -> None:
        """Give every target token a slot, and remember new words with their source words."""
        decoded = self.network.decode(self.alone.tokens(pairs))
        first = len(self._slots)  # lessons before these
        self._slots += self.network.teach(decoded, range(first, first + len(decoded)))

    def forget(self) -> None:
        """Empty these slots, and forget the words."""
        self.network.forget(self._slots, range(len(self._slots)))
        self._slots = []

    def translate(self, sentences: Sequence[str], beam: int) -> list[str]:
        """Translate with the memory."""
        return self.alone.translate(sentences, beam)

    def write(self, pairs: Pairs) -> None:
        """Write more sentence pairs by the life-long rule, by which they can be evicted."""
        with Progress(total=len(pairs), desc="writing", unit=" pairs") as bar:
            for begin in range(0, len(pairs), AT_ONCE):
                some = self.network.decode(self.alone.tokens(pairs[begin : begin + AT_ONCE]))
                query = torch.cat([one.query for one in some]).to(self.network.device)
                target = torch.cat([one.target for one in some]).to(self.network.device)
                self.network.memory.write(query, target)
                bar.update(len(some))

    def held(self) -> dict[str, Tensor]:
        """Return copies of all memory buffers, by name."""
        found = dict(self.network.memory.named_buffers())
        if self.network.terms is not None:
            found |= {f"terms.{name}": one for name, one in self.network.terms.named_buffers()}
        return {name: one.detach().clone() for name, one in found.items()}


def same_memories(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Return whether two memories are the same, bit for bit.

    Args:
        one: result of :meth:`WithMemory.held`.
        other: the same for a memory that may have grown; its additional slots must be empty.
    """
    size = len(one["values"])
    added = all(bool((other[name][size:] == empty).all()) for name, empty in EMPTY.items())
    kept = other | {name: other[name][:size] for name in EMPTY}
    return (
        added
        and one.keys() == kept.keys()
        and all(torch.equal(tensor, kept[name]) for name, tensor in one.items())
    )


class NearestNeighbours(WithMemory):
    """Remembers lessons as kNN-MT does (Khandelwal et al. 2021): one weight for all answers.

    Args:
        alone: the translator.
        weight: of the neighbours' distribution, from 0 to 1.
        temperature: factor of similarities before the softmax; None for the one that the model
            has learned.
    """

    def __init__(self, alone: Alone, weight: float, temperature: float | None = None) -> None:
        super().__init__(alone)
        self._reader: MemoryReader = alone.network.model.decoder.reader
        learned = float(self._reader.log_temperature.detach().exp())
        self._settings = weight, learned if temperature is None else temperature

    def teach(self, pairs: Pairs) -> None:
        """Give every target token a slot like any other, and do nothing else."""
        decoded = self.network.decode(self.alone.tokens(pairs))
        terms, self._slots = self.network.terms, self.network.teach(decoded, range(len(decoded)))
        self.network.memory.pinned[torch.cat(self._slots)] = False
        if terms is not None:
            terms.clear()

    def translate(self, sentences: Sequence[str], beam: int) -> list[str]:
        """Translate with fixed weights."""
        with self._reader.constant(*self._settings):
            return super().translate(sentences, beam)


def best_weights(
    alone: Alone,
    lessons: Pairs,
    text: Pairs,
    weights: Sequence[float],
    temperatures: Sequence[float],
) -> tuple[float, float]:
    """Search for the weight and temperature of kNN-MT that make a text most probable.

    Args:
        alone: the translator.
        lessons: to teach.
        text: to make probable.
        weights: to try.
        temperatures: to try with each weight.
    """
    pupil = NearestNeighbours(alone, 0.0)
    pupil.teach(lessons)
    answers = list(alone.network.ask(alone.tokens(text)))
    pupil.forget()
    reader: MemoryReader = alone.network.model.decoder.reader

    @torch.no_grad()
    def nll(setting: tuple[float, float]) -> float:
        total = 0.0
        with reader.constant(*setting):
            for read, target, log_prob in answers:
                assert read.hits is not None and read.state is not None  # of a reader that mixes
                log_weights, gate, _ = reader.weigh(read.hits, read.state)
                log_prob = mix_target(log_prob, target, read.hits.values, log_weights, gate)
                total -= float(log_prob.sum())
        return total

    return min(itertools.product(weights, temperatures), key=nll)


class FineTuned:
    """Learns lessons by changing all weights, as most systems do.

    Args:
        alone: the translator.
        passes: number of passes over the lessons.
        learning_rate: of Adam.
        batch: lessons in each step.
    """

    def __init__(
        self, alone: Alone, passes: int, learning_rate: float = 5e-4, batch: int = 32
    ) -> None:
        self.alone, self.passes = alone, passes
        self.learning_rate, self.batch = learning_rate, batch
        self._before: dict[str, Tensor] = {}

    def teach(self, pairs: Pairs) -> None:
        """Minimise the cross-entropy of the lessons."""
        model, network = self.alone.network.model, self.alone.network
        self._before = {name: one.detach().clone() for name, one in model.named_parameters()}
        tokens = self.alone.tokens(pairs)
        optimizer = torch.optim.Adam(model.parameters(), lr=self.learning_rate)
        order = torch.Generator().manual_seed(1)
        for _ in range(self.passes):
            for some in torch.randperm(len(tokens), generator=order).split(self.batch):
                optimizer.zero_grad()
                network.nll([tokens[i] for i in some.tolist()]).backward()
                optimizer.step()

    def forget(self) -> None:
        """Restore the old weights."""
        with torch.no_grad():
            for name, parameter in self.alone.network.model.named_parameters():
                parameter.copy_(self._before[name])

    def translate(self, sentences: Sequence[str], beam: int) -> list[str]:
        """Translate with the new weights."""
        return self.alone.translate(sentences, beam)


class Constrained:
    """Gets the words of every question, which its search must use: an upper bound.

    It learns nothing from the lessons.

    Args:
        alone: the translator.
        questions: the sentences, and the references, which give the spelling of words.
        asked: the words.
    """

    def __init__(
        self, alone: Alone, questions: Sequence[tuple[str, str]], asked: Sequence[Asked]
    ) -> None:
        self.alone = alone
        self._required: dict[str, list[Tensor]] = {}
        for one in asked:
            source, reference = questions[one.question]
            word = alone.target.encode(spelled(one.word, reference)).ids[:-1]
            self._required.setdefault(source, []).append(word)

    def teach(self, pairs: Pairs) -> None:
        """Do nothing."""

    def forget(self) -> None:
        """Do nothing."""

    def translate(self, sentences: Sequence[str], beam: int) -> list[str]:
        """Translate with the words that each sentence needs."""
        required = [self._required.get(sentence, []) for sentence in sentences]
        return self.alone.translate(sentences, beam, required)


def spelled(word: str, text: str) -> str:
    """Return a word with its capital letters in a text."""
    found = re.search(re.escape(word), text, re.IGNORECASE)
    return found.group() if found else word
