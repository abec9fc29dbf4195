"""Scores translations: BLEU, chrF, rare words, and the significance of differences."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.significance import PairedTest

from fairseq_plugins.evaluation.rare_words import Bucket, accuracy_by_frequency
from fairseq_plugins.evaluation.spread import spread


@dataclass(frozen=True)
class Scores:
    """Scores of one translation of a corpus."""

    name: str
    bleu: float
    chrf: float
    words: list[Bucket]
    """Accuracy of words by frequency in training; empty if the training text is unknown."""

    def numbers(self) -> dict[str, float]:
        """Return all scores in percent by name, for tables and averages."""
        words = {f"words {b.label}": 100 * b.accuracy for b in self.words}
        return {"BLEU": self.bleu, "chrF2": self.chrf} | words

    def as_json(self) -> dict:
        """Return all scores and counts, for JSON."""
        words = {
            b.label: {
                "right": b.right,
                "total": b.total,
                "accuracy": None if math.isnan(b.accuracy) else b.accuracy,
            }
            for b in self.words
        }
        return {"name": self.name, "bleu": self.bleu, "chrf": self.chrf, "words": words}


class Scorer:
    """Scores translations of one corpus.

    Args:
        references: one per sentence.
        training: target sentences of the training corpus, for word frequencies; None for none.
        tokenize: sacrebleu's tokenisation: ``13a`` for raw text, ``none`` for text whose words are
            already separated. Words are counted with the same tokenisation.
    """

    def __init__(
        self, references: Sequence[str], training: Sequence[str] | None, tokenize: str
    ) -> None:
        # Tokenised text is expected here: no warning about it.
        self.bleu, self.chrf = BLEU(tokenize=tokenize, force=True), CHRF()
        self.references = references
        self._reference_words = self._words(references)
        self._training = None if training is None else self._words(training)

    def score(self, name: str, hypotheses: Sequence[str]) -> Scores:
        """Score a translation."""
        words: list[Bucket] = []
        if self._training is not None:
            words = accuracy_by_frequency(
                self._words(hypotheses), self._reference_words, self._training
            )
        bleu = self.bleu.corpus_score(hypotheses, [self.references])
        chrf = self.chrf.corpus_score(hypotheses, [self.references])
        return Scores(name, bleu.score, chrf.score, words)

    @property
    def signatures(self) -> dict[str, str]:
        """Return sacrebleu's signatures by metric, once something was scored."""
        return {name: str(metric.get_signature()) for name, metric in self._metrics().items()}

    def significance(
        self, baseline: Sequence[str], system: Sequence[str], samples: int = 1000
    ) -> dict[str, float]:
        """Test by paired bootstrap resampling (Koehn 2004).

        Returns:
            For each metric p, the probability that a difference this large is due to chance. Random
            numbers are sacrebleu's, with the seed in SACREBLEU_SEED, or 12345.
        """
        if list(baseline) == list(system):  # for which sacrebleu reports a significant difference
            return dict.fromkeys(self._metrics(), 1.0)
        test = PairedTest(
            [("baseline", baseline), ("system", system)],
            self._metrics(),
            [self.references],
            test_type="bs",
            n_samples=samples,
        )
        results: dict[str, Any] = test()[1]
        of_system = {name: results[name][1] for name in self._metrics()}
        return {name: result.p_value for name, result in of_system.items()}

    def _metrics(self) -> dict:
        return {"BLEU": self.bleu, "chrF2": self.chrf}

    def _words(self, lines: Sequence[str]) -> list[str]:
        return [self.bleu.tokenizer(line) for line in lines]


def scores_table(groups: dict[str, list[Scores]]) -> str:
    """Return scores for people: a row per translation, and mean ± standard deviation of several.

    Args:
        groups: translations of one system with different seeds, by the system's name.
    """
    scores = [score for group in groups.values() for score in group]
    heads = list(scores[0].numbers())
    lines = [[score.name, *(f"{n:.2f}" for n in score.numbers().values())] for score in scores]
    for name, group in groups.items():
        if len(group) > 1:
            columns = zip(*(score.numbers().values() for score in group), strict=True)
            summary = [str(spread(numbers)) for numbers in columns]
            lines.append([f"{name}, mean", *summary])
    counts = [f"n={bucket.total}" for bucket in scores[0].words]
    rows = [["", *heads], *lines, *([["", "", "", *counts]] if counts else [])]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in
                                                zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in rows
    )  # fmt: skip
