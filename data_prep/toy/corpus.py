"""The sentences of the toy corpus: which names occur in them, how often, and in which part."""

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from tqdm import tqdm

from data_prep.core.program import DataError
from data_prep.core.ranges import ranged
from data_prep.toy.language import Clause, Speaker, english, names_in
from data_prep.toy.lexicon import NAMES, Lexicon, Name

# Lowest and highest number of occurrences in the training text.
BUCKETS = ((0, 0), (1, 1), (2, 5), (6, 20), (21, 100), (101, sys.maxsize))
MOST_SENTENCES = 10_000_000  # of each part, because they are drawn before any is written
LEAST_NAMES, MOST_NAMES = 10, 50_000  # so that there are some of each kind, and all are different
TRIES = 10_000  # attempts to draw a new sentence before the language is called too small
FAMILIAR = 20  # of each kind: the most frequent names, which accompany tested ones

DrawName = Callable[[str], Name]


@dataclass(frozen=True)
class Sizes:
    """Sizes of the language and of the parts."""

    train: int = ranged(12_000, 1, MOST_SENTENCES)
    valid: int = ranged(500, 1, MOST_SENTENCES)
    test: int = ranged(1_000, 1, MOST_SENTENCES)
    held_out: int = ranged(100, 1, MOST_NAMES)
    """Names to teach."""
    words: int | None = None
    """Ordinary words of each kind; None for all."""
    names: int = ranged(NAMES, LEAST_NAMES, MOST_NAMES)
    """Number of names, of all kinds together."""

    def lexicon(self, seed: int) -> Lexicon:
        """Return the words of the language."""
        return Lexicon(seed, self.words, self.names)


class Writer:
    """Draws sentences that are all different, with names that follow Zipf's law.

    Args:
        seed: Determines everything.
        lexicon: The words.
    """

    def __init__(self, seed: int, lexicon: Lexicon) -> None:
        self.lexicon = lexicon
        self.random = Random(f"sentences {seed}")
        self.speaker = Speaker(self.lexicon, self.random)
        self.seen: set[str] = set()

    def zipf(self, allowed: Callable[[Name], bool] = lambda name: True) -> DrawName:
        """Return a function that draws names; the weight of rank r is 1 / r."""
        pools = {}
        for kind, names in self.lexicon.names.items():
            ranked = [(name, 1 / rank) for rank, name in enumerate(names, start=1) if allowed(name)]
            pools[kind] = [name for name, _ in ranked], list(accumulate(w for _, w in ranked))
        return lambda kind: self.random.choices(pools[kind][0], cum_weights=pools[kind][1])[0]

    def sentence(self, draw_name: DrawName, about: Name | None = None) -> Clause:
        """Draw a new sentence.

        Args:
            draw_name: Draws its names.
            about: A name that it must contain.

        Raises:
            DataError: If the language seems to have no more sentences.
        """
        for _ in range(TRIES):
            waiting = [about] if about else []

            def draw(kind: str, waiting: list[Name] = waiting) -> Name:
                return waiting.pop() if waiting and waiting[0].kind == kind else draw_name(kind)

            clause = self.speaker.sentence(draw)
            text = " ".join(english(clause))
            if text not in self.seen and (about is None or about in names_in(clause)):
                self.seen.add(text)
                return clause
        raise DataError(
            f"after {len(self.seen):,} sentences, {TRIES:,} more draws give no new one; ask "
            "for fewer, or for more --words and --names"
        )


def make_corpus(writer: Writer, sizes: Sizes) -> tuple[dict[str, list[Clause]], list[Name]]:
    """Draw all sentences.

    Returns:
        The sentences of each part, and the held-out names, in the order of `teach` and `recall`.

    Raises:
        DataError: If not enough names are missing from training.
    """
    anyone = writer.zipf()
    bar = tqdm(range(sizes.train), "drawing sentences", unit=" sentences", disable=None)
    train = [writer.sentence(anyone) for _ in bar]
    counts = Counter(name for clause in train for name in names_in(clause))
    familiar = {name for names in writer.lexicon.names.values() for name in names[:FAMILIAR]}
    names = [name for name in writer.lexicon.all_names() if name not in familiar]
    unseen = [name for name in names if counts[name] == 0]
    if len(unseen) < sizes.held_out:
        raise DataError(
            f"--held-out {sizes.held_out}: only {len(unseen)} names never occur in training; "
            "ask for fewer, or for a smaller --train"
        )
    held_out = writer.random.sample(unseen, sizes.held_out)
    hidden = set(held_out)
    others = writer.zipf(lambda name: name not in hidden)
    frequent = writer.zipf(lambda name: name in familiar)
    tested = names_by_bucket(writer, counts, hidden, sizes.test // 2)
    corpus = {
        "train": train,
        "valid": [writer.sentence(others) for _ in range(sizes.valid)],
        "test": [writer.sentence(others) for _ in range(sizes.test - len(tested))],
        "teach": [writer.sentence(frequent, name) for name in held_out],
        "recall": [writer.sentence(frequent, name) for name in held_out],
    }
    corpus["test"] += [writer.sentence(frequent, name) for name in tested]
    return corpus, held_out


def names_by_bucket(
    writer: Writer, counts: Counter[Name], excluded: set[Name], number: int
) -> list[Name]:
    """Choose names to test, the same number from each range of frequencies."""
    names = [name for name in writer.lexicon.all_names() if name not in excluded]
    buckets = [[n for n in names if low <= counts[n] <= high] for low, high in BUCKETS]
    buckets = [bucket for bucket in buckets if bucket]
    for bucket in buckets:
        writer.random.shuffle(bucket)
    turns = (divmod(turn, len(buckets)) for turn in range(number))
    return [buckets[which][turn % len(buckets[which])] for turn, which in turns]
