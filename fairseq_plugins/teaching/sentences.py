"""Splits texts into sentences, translates them with a network, and joins the results."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from fairseq_plugins.teaching.evidence import Describes, explained
from fairseq_plugins.teaching.lessons import Lesson
from fairseq_plugins.teaching.network import Hypothesis, Network
from fairseq_plugins.teaching.pieces import Tokens, Vocabulary, words
from fairseq_plugins.teaching.text import (
    Mark,
    Pieces,
    among_marks,
    normalise,
    sentences,
    with_marks,
    without_marks,
)
from fairseq_plugins.teaching.translation import EXACT, Sentence, Translation, Word

# Returns the lesson with exactly this source, if there is one.
Taught = Callable[[str], Lesson | None]


@dataclass
class _Part:
    """A sentence of a text, or what separates two."""

    text: str
    """First the source text, later the translation."""
    lesson: Lesson | None = None
    translated: bool = False
    source: str = field(init=False)
    log_probs: list[float] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.source = self.text


class Sentences:
    """Translates texts sentence by sentence.

    Args:
        network: that translates.
        source: vocabulary of the source.
        target: vocabulary of the target.
    """

    def __init__(self, network: Network, source: Vocabulary, target: Vocabulary) -> None:
        self._network, self._source, self._target = network, source, target

    def translate(
        self,
        texts: Sequence[str],
        beam: int,
        taught: Taught | None = None,
        known: Describes | None = None,
        memory: bool = True,
    ) -> list[Translation]:
        """Translate texts.

        Args:
            texts: of any length.
            beam: width of the search.
            taught: returns the lesson that translates a sentence; None for no lessons.
            known: describes slots and terms, to explain every word; None for no explanation.
            memory: whether to use the memory.
        """
        parts = [self._parts(text, taught) for text in texts]
        todo = [part for text in parts for part in text if part.translated]
        self._fill(todo, beam, known, memory)
        return [_joined(text, found) for text, found in zip(texts, parts, strict=True)]

    def _parts(self, text: str, taught: Taught | None) -> list[_Part]:
        """Split a text; one that was taught as a whole is not split."""
        whole = text.strip()
        if taught and (lesson := taught(whole)):
            begin = text.index(whole)
            return [
                _Part(text[:begin]),
                _Part(whole, lesson, True),
                _Part(text[begin + len(whole) :]),
            ]
        parts = []
        for gap, sentence in sentences(text):
            parts.append(_Part(gap))
            if taught and (lesson := taught(sentence)):
                parts.append(_Part(sentence, lesson, True))
                continue
            for number, short in enumerate(self._short(sentence)):
                translatable = any(sign.isalpha() for sign in without_marks(short)[0])
                parts += [_Part(" ")] * (number > 0) + [_Part(short, None, translatable)]
        return parts

    def _short(self, sentence: str) -> list[str]:
        """Split a sentence into parts that are not too long for the network."""
        if len(self._source.encode(normalise(sentence))) <= self._network.longest:
            return [sentence]
        middle = len(sentence) // 2
        left = sentence.rfind(" ", 0, middle) if " " in sentence[:middle] else middle
        return self._short(sentence[:left].strip()) + self._short(sentence[left:].strip())

    def _fill(
        self, parts: Sequence[_Part], beam: int, known: Describes | None, memory: bool
    ) -> None:
        """Translate the parts that need it."""
        plain = [without_marks(part.text) for part in parts]
        sources = [self._source.encode(text) for text, _ in plain]
        searched = [number for number, part in enumerate(parts) if part.lesson is None]
        found = self._network.translate([sources[number].ids for number in searched], beam, memory)
        hypotheses = dict(zip(searched, found, strict=True))
        for number, part in enumerate(parts):
            source, marks = sources[number], plain[number][1]
            if part.lesson is not None:
                target, ids = self._lesson(part.lesson)
            else:
                target, ids = self._written(source, marks, hypotheses[number])
                part.log_probs = hypotheses[number].log_probs.tolist()
            part.text = target.text
            reading = self._network.read(source.ids, ids) if known else None
            for begin, end, tokens in words(target):
                probability = (
                    math.exp(sum(part.log_probs[token] for token in tokens))
                    if part.log_probs
                    else 1.0
                )
                word = Word(target.text[begin:end], begin, end, probability)
                if reading is not None and known is not None:
                    word = explained(word, tokens, reading, known)
                part.words.append(word)

    def _written(
        self, source: Tokens, marks: list[Mark], found: Hypothesis
    ) -> tuple[Pieces, Tensor]:
        """Return a translation with the marks of its source, and its tokens."""
        aligned = [min(place, len(source) - 1) for place in found.aligned]
        target = self._target.decode(found.tokens, [source.written[place] for place in aligned])
        end = found.tokens.new_tensor([self._target.dictionary.eos()])
        ids = torch.cat([found.tokens, end])
        return with_marks(source.pieces, marks, target, aligned), ids

    def _lesson(self, lesson: Lesson) -> tuple[Pieces, Tensor]:
        """Return the translation that was taught, and its tokens."""
        target = self._target.encode(without_marks(lesson.target)[0])
        return among_marks(lesson.target, target.pieces), target.ids


def _joined(source: str, parts: Sequence[_Part]) -> Translation:
    """Join the parts of a text."""
    text, found, cut, place = "", list[Word](), list[Sentence](), 0
    for part in parts:
        moved = len(text)
        found += [replace(w, start=w.start + moved, end=w.end + moved) for w in part.words]
        text += part.text
        if part.translated:
            place = source.index(part.source, place)
            cut.append(Sentence(part.source, place, moved, len(text), part.lesson))
            place += len(part.source)
    log_probs = [one for part in parts for one in part.log_probs]
    translated = [part for part in parts if part.translated]
    lessons = [part.lesson for part in translated if part.lesson is not None]
    return Translation(
        source=source,
        text=text,
        score=sum(log_probs) / len(log_probs) if log_probs else 0.0,
        words=found,
        match=EXACT if lessons and len(lessons) == len(translated) else None,
        lessons=lessons,
        sentences=cut,
    )
