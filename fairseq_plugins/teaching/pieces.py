"""Converts between sentences and a model's tokens: their pieces, and the positions of these."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sentencepiece
import torch
from fairseq.data import Dictionary
from torch import Tensor

from fairseq_plugins.teaching.text import Pieces

SPACE = "\u2581"  # sentencepiece's character for a space
BYTE = re.compile("<0x([0-9A-F]{2})>")  # a byte of a character that is not a piece


@dataclass(frozen=True)
class Tokens:
    """A sentence in the form that a model reads.

    Attributes:
        ids: [T + 1] int64, with the end.
        pieces: the sentence, and the position of each of the T tokens in it.
        written: the T pieces, even those without a number.
    """

    ids: Tensor
    pieces: Pieces
    written: Sequence[str]

    def __len__(self) -> int:
        """Return the number of tokens without the end."""
        return len(self.pieces.spans)


class SpacedWords:
    """Words that are separated by spaces, for translators without a sentencepiece model."""

    def encode(self, text: str, out_type: type = str) -> list[str]:
        """Split a text at its spaces."""
        return text.split()

    def decode(self, pieces: list[str]) -> str:
        """Join words with spaces."""
        return " ".join(pieces)


class Vocabulary:
    """Pieces and dictionary of one language.

    Args:
        model: splits texts into pieces.
        dictionary: fairseq's.
    """

    def __init__(
        self,
        model: sentencepiece.SentencePieceProcessor | SpacedWords,
        dictionary: Dictionary,
    ) -> None:
        self.model, self.dictionary = model, dictionary

    def encode(self, text: str) -> Tokens:
        """Encode a sentence.

        Args:
            text: normalised.
        """
        pieces = self.model.encode(text, out_type=str)
        ids = [*(self.dictionary.index(piece) for piece in pieces), self.dictionary.eos()]
        return Tokens(torch.tensor(ids), Pieces(text, list(_spans(text, pieces))), pieces)

    def decode(self, ids: Tensor, copied: Sequence[str] = ()) -> Pieces:
        """Return the text of tokens, and the position of each of them in it.

        Args:
            ids: [T] int64, without the end.
            copied: for each of them, the piece to write if the dictionary does not contain it.
        """
        pieces = [self.dictionary[token] for token in ids.tolist()]
        for place, token in enumerate(ids.tolist()):
            if token == self.dictionary.unk():
                pieces[place] = copied[place] if place < len(copied) else ""
        return self.join(pieces)

    def join(self, pieces: Sequence[str]) -> Pieces:
        """Return the text of pieces, and the position of each of them in it."""
        text = " ".join(self.model.decode(list(pieces)).split())
        return Pieces(text, list(_spans(text, pieces)))


def _spans(text: str, pieces: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the position of each piece in their text; that of the character for its bytes."""
    place, number = 0, 0
    while number < len(pieces):
        run = number
        while run < len(pieces) and BYTE.fullmatch(pieces[run]):
            run += 1
        if run > number:
            data = bytes(int(piece[3:5], 16) for piece in pieces[number:run])
            surface = data.decode("utf-8", "ignore")
        else:
            run, surface = number + 1, pieces[number].replace(SPACE, " ").strip()
        begin = text.find(surface, place) if surface else place
        begin = place if begin < 0 else begin
        end = min(begin + len(surface), len(text))
        for _ in range(number, run):
            yield begin, end
        place, number = end, run


def words(pieces: Pieces) -> Iterator[tuple[int, int, list[int]]]:
    """Yield the words of a text: begin, end, and the numbers of their pieces."""
    for found in re.finditer(r"\S+", pieces.text):
        yield found.start(), found.end(), pieces.between(found.start(), found.end())


def word_at(pieces: Pieces, token: int) -> str:
    """Return the word that a token belongs to; empty for the end."""
    found = (pieces.text[begin:end] for begin, end, tokens in words(pieces) if token in tokens)
    return next(found, "")
