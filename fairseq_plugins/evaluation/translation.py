"""Several translations of one corpus, scored and compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fairseq_plugins.evaluation.hypotheses import Generation, hypotheses, read_lines
from fairseq_plugins.evaluation.scoring import Scorer, Scores, scores_table


@dataclass(frozen=True)
class TranslationReport:
    """Scores of two systems, or of one.

    Attributes:
        groups: translations of ``baseline`` and of ``system``, one per seed.
        signatures: sacrebleu's, by metric.
        significance: p of each pair, by metric, see :meth:`Scorer.significance`.
    """

    groups: dict[str, list[Scores]]
    signatures: dict[str, str]
    significance: list[dict[str, float]]

    def __str__(self) -> str:
        """Return all scores for people."""
        lines = [scores_table({name: group for name, group in self.groups.items() if group})]
        lines += [f"{name}  {signature}" for name, signature in self.signatures.items()]
        for scores, result in zip(self.groups["system"], self.significance, strict=False):
            values = ", ".join(f"{name} p = {p:.4f}" for name, p in result.items())
            lines.append(f"{scores.name} against its baseline, paired bootstrap: {values}")
        return "\n".join(lines)

    def as_json(self) -> dict:
        """Return all scores for programs."""
        numbers = {name: [s.as_json() for s in group] for name, group in self.groups.items()}
        return numbers | {"signatures": self.signatures, "significance": self.significance}


@dataclass(frozen=True)
class Scoring:
    """How to score translations.

    Attributes:
        references: file of the references, one per line.
        training: target side of the training text, for word frequencies; None for none.
        tokenize: sacrebleu's tokenisation: ``13a`` for raw text, ``none`` for tokenised text.
        remove_bpe: segmentation of the translations to undo; None if they are words.
    """

    references: Path
    training: Path | None = None
    tokenize: str = "13a"
    remove_bpe: str | None = None


def evaluate(
    systems: Sequence[Path], baselines: Sequence[Path], scoring: Scoring, generation: Generation
) -> TranslationReport:
    """Score translations, and test whether the differences to a baseline are significant.

    Args:
        systems: translations by one system, one per seed: text, output of fairseq-generate, or
            checkpoints.
        baselines: translations by another system, one for each of ``systems``; or none.
        scoring: how to score.
        generation: how checkpoints translate.

    Raises:
        InputError: if a translation does not match the references.
    """
    references = read_lines(scoring.references)
    training = read_lines(scoring.training) if scoring.training else None
    scorer = Scorer(references, training, scoring.tokenize)
    paths = {"baseline": baselines, "system": systems}
    texts = {
        group: [hypotheses(p, len(references), scoring.remove_bpe, generation) for p in own]
        for group, own in paths.items()
    }
    groups = {
        group: [scorer.score(str(p), t) for p, t in zip(paths[group], texts[group], strict=True)]
        for group in texts
    }
    pairs = zip(texts["baseline"], texts["system"], strict=False)
    significance = [scorer.significance(*pair) for pair in pairs]
    return TranslationReport(groups, scorer.signatures, significance)
