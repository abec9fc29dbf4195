"""Checks a pair of lines by itself, and normalises lines."""

import functools
import hashlib
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from ftfy.badness import is_bad
from py3langid.langid import MODEL_FILE, LanguageIdentifier
from sacremoses import MosesPunctNormalizer, MosesTokenizer

from data_prep.core.ranges import ranged

# Added to both lengths before they are compared: "Yes." and "Selbstverständlich." are a good pair,
# but ten times longer ones with the same ratio are not.
RATIO_SMOOTHING = 10  # characters
# Languages of short lines are guesses, and names or numbers have none. Of 30,000 lines of news,
# talk, parliament and Wikipedia, these limits reject two by mistake, both full of Latin names.
SHORTEST_WITH_LANGUAGE = 40  # characters
SURE_OF_LANGUAGE = 0.9
REPLACEMENT = "\ufffd"  # replaces bytes that are not UTF-8
BROKEN, MOJIBAKE = "broken encoding", "mojibake"


@dataclass(frozen=True)
class CleaningOptions:
    """Criteria for keeping training text. The defaults drop a pair only if it is hardly usable."""

    max_words: int = ranged(250, 1)
    """Sentence-aligned text has hardly any longer lines; one would fill a batch alone."""
    max_characters: int = ranged(2000, 1)
    """The same limit for text without spaces, and for junk."""
    max_ratio: float = ranged(4.0, 1, inf)
    """Longer to shorter side, in characters + 10; above it, one side is not a translation."""
    keep_duplicates: bool = False
    """Keep repeated training pairs and those that are also in the development or test text."""
    check_encoding: bool = True
    """Drop text that was once read in a wrong encoding: `fÃ¼r`, or the character U+FFFD."""
    check_language: bool = False
    """Drop long lines that are certainly in another language; takes most of the time."""
    normalise_punctuation: bool = False
    """Write quotation marks, dashes and spaces before punctuation as Moses does."""
    tokenise: bool = False
    """Spaces between words and punctuation, as in Moses; sentencepiece does not need it."""


class Verdict(NamedTuple):
    """The result for a pair."""

    source: str
    target: str
    reason: str | None
    """What is wrong with it, or None."""
    hash: int
    """64 bits that represent the pair."""


def normalise(line: str) -> str:
    """Convert a line to NFC, and control characters and runs of white space to one space."""
    if not line.isprintable():  # a quick test that almost all lines pass
        line = "".join(" " if unicodedata.category(sign) == "Cc" else sign for sign in line)
    return " ".join(unicodedata.normalize("NFC", line).split())


@dataclass(frozen=True)
class Judge:
    """Judges pairs, in any process.

    Attributes:
        options: What to reject.
        languages: Of source and target, in ISO 639-1.
    """

    options: CleaningOptions
    languages: tuple[str, str]

    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[Verdict]:
        """Normalise pairs, and judge each by itself."""
        verdicts = []
        for pair in pairs:
            source, target = map(normalise, pair)
            reason = self.fault(source, target)
            if reason is None:
                source, target = self.rewrite(source, target)
            verdicts.append(Verdict(source, target, reason, pair_hash(source, target)))
        return verdicts

    def fault(self, source: str, target: str) -> str | None:
        """Return what is wrong with a normalised pair, or None."""
        options = self.options
        if not source or not target:
            return "empty"
        lengths = sorted((len(source), len(target)))
        words = max(source.count(" "), target.count(" ")) + 1
        if words > options.max_words or lengths[1] > options.max_characters:
            return "too long"
        if lengths[1] + RATIO_SMOOTHING > options.max_ratio * (lengths[0] + RATIO_SMOOTHING):
            return "length ratio"
        if options.check_encoding:
            if REPLACEMENT in source or REPLACEMENT in target:
                return BROKEN
            if is_mojibake(source) or is_mojibake(target):
                return MOJIBAKE
        if options.check_language:
            for line, language in zip((source, target), self.languages, strict=True):
                if is_other_language(line, language):
                    return f"not {language}"
        return None

    def rewrite(self, *lines: str) -> list[str]:
        """Apply the requested programs of Moses."""
        result = list(lines)
        for side, language in enumerate(self.languages):
            if self.options.normalise_punctuation:
                result[side] = normalise(_punctuation(language)(result[side]))
            if self.options.tokenise:
                result[side] = _tokeniser(language)(result[side])
        return result


def is_mojibake(line: str) -> bool:
    """Return whether a line was once read in a wrong encoding."""
    return not line.isascii() and is_bad(line)


def is_other_language(line: str, language: str) -> bool:
    """Return whether a line is certainly in another language; False if it cannot be identified."""
    if len(line) < SHORTEST_WITH_LANGUAGE:
        return False
    identifier = _identifier()
    if language not in identifier.labels:
        return False
    found, probability = identifier.classify(line)
    return found != language and probability > SURE_OF_LANGUAGE


def pair_hash(source: str, target: str) -> int:
    """Return 64 bits that represent a pair."""
    digest = hashlib.blake2b(f"{source}\n{target}".encode(), digest_size=8).digest()
    return int.from_bytes(digest)


@functools.cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@functools.cache
def _punctuation(language: str) -> Callable[[str], str]:
    return MosesPunctNormalizer(language).normalize


@functools.cache
def _tokeniser(language: str) -> Callable[[str], str]:
    # No escapes: people and sentencepiece read plain text.
    return functools.partial(MosesTokenizer(language).tokenize, return_str=True, escape=False)
