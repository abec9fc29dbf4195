"""Words in a vocabulary of pieces: where they begin and end, and a number for each.

A word is a run of letters and digits, whatever pieces it consists of; punctuation ends it. Its
number is a polynomial of its lower-case characters, modulo 2^64. So a word has the same number
however it is split, and no strings are built while a network translates. This works for
sentencepiece (``▁``), subword-nmt (``@@``) and plain words.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

MARK = "\u2581"  # marks the beginning of a word in sentencepiece
JOINER = "@@"  # marks a piece that does not end its word in subword-nmt
BASE = 0x9E3779B97F4A7C15  # odd, so that no character is lost modulo 2^64
MODULUS = 1 << 64


class Words(nn.Module):
    """What the pieces of a vocabulary reveal about words. Nothing in it is learned or saved.

    Args:
        symbols: the pieces, in the order of their numbers.
        specials: number of pieces at the beginning that are not text.
    """

    number: Tensor
    power: Tensor
    is_word: Tensor
    has_letter: Tensor
    joins_left: Tensor
    joins_right: Tensor

    def __init__(self, symbols: Sequence[str], specials: int) -> None:
        super().__init__()
        self.texts = ["" if i < specials else _text(symbol) for i, symbol in enumerate(symbols)]
        self.index = {symbol: i for i, symbol in enumerate(symbols)}
        self.symbols = list(symbols)
        marked = any(symbol.startswith(MARK) for symbol in symbols)
        numbers, powers = zip(*(_polynomial(text) for text in self.texts), strict=True)
        lone = [symbol == MARK for symbol in symbols]
        alnum = [any(map(str.isalnum, text)) for text in self.texts]

        def buffer(name: str, values: Sequence[object], dtype: torch.dtype) -> None:
            self.register_buffer(name, torch.tensor(values, dtype=dtype), persistent=False)

        buffer("number", [_signed(n) for n in numbers], torch.int64)
        buffer("power", [_signed(p) for p in powers], torch.int64)
        # A lone mark begins the word that the next piece continues.
        buffer("is_word", [a or b for a, b in zip(alnum, lone, strict=True)], torch.bool)
        buffer("has_letter", [any(map(str.isalpha, text)) for text in self.texts], torch.bool)
        buffer(
            "joins_left",
            [marked and i >= specials and not s.startswith(MARK) for i, s in enumerate(symbols)],
            torch.bool,
        )
        buffer("joins_right", [s.endswith(JOINER) for s in symbols], torch.bool)

    def continues(self, tokens: Tensor) -> Tensor:
        """Return which pieces continue the word of the piece before: [..., time] -> bool."""
        before, here = tokens[..., :-1], tokens[..., 1:]
        glued = self.joins_left[here] | self.joins_right[before]
        inside = glued & self.is_word[here] & self.is_word[before]
        return torch.cat([torch.zeros_like(tokens[..., :1], dtype=torch.bool), inside], dim=-1)

    def numbers(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Number the words of sentences.

        Args:
            tokens: [batch, time].

        Returns:
            [batch, time] int64, at every piece the number of its whole word, 0 if there is none;
            and
                [batch, time] bool, the first pieces of words.
        """
        continues = self.continues(tokens)
        number, power = self.number[tokens], self.power[tokens]
        so_far = number.clone()
        for step in range(1, tokens.shape[1]):
            longer = so_far[:, step - 1] * power[:, step] + number[:, step]
            so_far[:, step] = torch.where(continues[:, step], longer, number[:, step])
        for step in range(tokens.shape[1] - 2, -1, -1):  # copy each word's number to its start
            so_far[:, step] = torch.where(
                continues[:, step + 1], so_far[:, step + 1], so_far[:, step]
            )
        is_word = self.is_word[tokens]
        return so_far.masked_fill_(~is_word, 0), is_word & ~continues

    def spans(self, tokens: Tensor) -> list[tuple[int, int]]:
        """Return the first and the end position of every word of one sentence [time]."""
        continues, is_word = self.continues(tokens).tolist(), self.is_word[tokens].tolist()
        spans: list[tuple[int, int]] = []
        for position, (goes_on, word) in enumerate(zip(continues, is_word, strict=True)):
            if goes_on:
                spans[-1] = (spans[-1][0], position + 1)
            elif word:
                spans.append((position, position + 1))
        return spans

    def numbers_of(self, tokens: Tensor, spans: Sequence[tuple[int, int]]) -> list[int]:
        """Return the numbers of words at :meth:`spans` of one sentence [time]."""
        number, power = self.number[tokens].tolist(), self.power[tokens].tolist()
        found = []
        for begin, end in spans:
            so_far = number[begin]
            for position in range(begin + 1, end):
                so_far = so_far * power[position] + number[position]
            found.append(_signed(so_far % MODULUS))
        return found

    def text(self, pieces: Sequence[int]) -> str:
        """Return the lower-case spelling of pieces."""
        return "".join(self.texts[piece] for piece in pieces)

    def at_a_word_start(self, pieces: Sequence[int]) -> list[int]:
        """Return pieces that spell a word by itself, even if it was taken from after a bracket."""
        if not self.joins_left[pieces[0]]:
            return list(pieces)
        marked = self.index.get(MARK + self.symbols[pieces[0]])
        if marked is not None:
            return [marked, *pieces[1:]]
        alone = self.index.get(MARK)
        return [alone, *pieces] if alone is not None else list(pieces)


def _text(symbol: str) -> str:
    """Return the lower-case text of a piece."""
    return symbol.removeprefix(MARK).removesuffix(JOINER).lower()


def _polynomial(text: str) -> tuple[int, int]:
    """Return the number of a text, and the factor for the number of a text before it."""
    number, power = 0, 1
    for character in text:
        number, power = (number * BASE + ord(character)) % MODULUS, power * BASE % MODULUS
    return number, power


def _signed(number: int) -> int:
    """Return the same 64 bits as a torch int64."""
    return number - MODULUS if number >= MODULUS // 2 else number
