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
        groups: translations of ``baseline`` and of ``system``, one a seed.
        signatures: sacrebleu's, by metric.
        significance: for each pair of both p by metric, see :meth:`Scorer.significance`.
    """

    groups: dict[str, list[Scores]]
    signatures: dict[str, str]
    significance: list[dict[str, float]]

    def __str__(self) -> str:
        """Everything for people."""
        lines = [scores_table({name: group for name, group in self.groups.items() if group})]
        lines += [f"{name}  {signature}" for name, signature in self.signatures.items()]
        for scores, result in zip(self.groups["system"], self.significance, strict=False):
            values = ", ".join(f"{name} p = {p:.4f}" for name, p in result.items())
            lines.append(f"{scores.name} against its baseline, paired bootstrap: {values}")
        return "\n".join(lines)

    def as_json(self) -> dict:
        """Everything for programs."""
        numbers = {name: [s.as_json() for s in group] for name, group in self.groups.items()}
        return numbers | {"signatures": self.signatures, "significance": self.significance}


@dataclass(frozen=True)
class Scoring:
    """How translations are scored.

    Attributes:
        references: file of the correct translations, one a line.
        training: target side of the training text, to count words in; None leaves this out.
        tokenize: sacrebleu's tokenisation: ``13a`` for raw text, ``none`` for tokenised text.
        remove_bpe: segmentation of the translations that is undone; None if they are words.
    """

    references: Path
    training: Path | None = None
    tokenize: str = "13a"
    remove_bpe: str | None = None


def evaluate(
    systems: Sequence[Path], baselines: Sequence[Path], scoring: Scoring, generation: Generation
) -> TranslationReport:
    """Score translations, and test whether a system differs from a baseline by more than chance.

    Args:
        systems: translations by one system, one a seed: text, output of fairseq-generate, or
            checkpoints.
        baselines: by another system, as many, in pairs; or none.
        scoring: how.
        generation: how checkpoints translate.

    Raises:
        InputError: if a translation does not fit the references.
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
