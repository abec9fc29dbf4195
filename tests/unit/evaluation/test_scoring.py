"""BLEU, chrF, significance and tables."""

import pytest
import sacrebleu

from fairseq_plugins.evaluation.scoring import Scorer, scores_table
from fairseq_plugins.evaluation.spread import spread
from fairseq_plugins.evaluation.translation import TranslationReport

REFERENCES = [f"the man number {i} sees a dog , and a cat ." for i in range(30)]
WORSE = [line.replace("dog", "cow") for line in REFERENCES]
WORST = [line.replace("dog", "cow").replace("sees a", "eats") for line in REFERENCES]


def test_scores_are_those_of_sacrebleu() -> None:
    scores = Scorer(REFERENCES, None, "13a").score("x", WORSE)
    assert scores.bleu == sacrebleu.corpus_bleu(WORSE, [REFERENCES]).score
    assert scores.chrf == sacrebleu.corpus_chrf(WORSE, [REFERENCES]).score
    assert scores.words == []


def test_signature_tells_the_tokenisation() -> None:
    scorer = Scorer(REFERENCES, None, "none")
    scorer.score("x", WORSE)
    assert "tok:none" in scorer.signatures["BLEU"]


def test_words_are_counted_in_the_tokenisation_of_bleu() -> None:
    raw, tokenised = Scorer(["a dog."], ["dog!"], "13a"), Scorer(["a dog."], ["dog!"], "none")
    assert [bucket.total for bucket in raw.score("x", ["dog"]).words[:2]] == [2, 1]
    assert [bucket.total for bucket in tokenised.score("x", ["dog"]).words[:2]] == [2, 0]


def test_clear_difference_is_significant_and_none_is_not() -> None:
    scorer = Scorer(REFERENCES, None, "none")
    assert scorer.significance(WORST, WORSE)["BLEU"] < 0.01
    assert scorer.significance(WORSE, WORSE)["BLEU"] == 1.0
    assert scorer.significance(WORST, WORSE, samples=50)["BLEU"] == pytest.approx(1 / 51)


def test_significance_is_the_same_every_time() -> None:
    scorer = Scorer(REFERENCES, None, "none")
    mixed = [*WORSE[:15], *WORST[15:16], *WORSE[16:]]
    first = scorer.significance(WORSE, mixed)
    assert 0.01 < first["BLEU"] < 1 and first == scorer.significance(WORSE, mixed)


def test_mean_and_sample_deviation() -> None:
    assert spread([1.0, 3.0]) == (2.0, pytest.approx(2**0.5))
    assert spread([4.0]) == (4.0, 0.0)


def test_table_has_a_line_a_translation_and_a_mean_of_several() -> None:
    scorer = Scorer(REFERENCES, REFERENCES, "none")
    scores = [scorer.score("a", WORSE), scorer.score("b", REFERENCES)]
    lines = scores_table({"system": scores}).splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["a", "b", "system,"]
    mean, deviation = spread([score.bleu for score in scores])
    assert f"{mean:.2f} ± {deviation:.2f}" in lines[3]
    assert lines[-1].split()[0] == "n=0"


def test_json_has_null_for_the_accuracy_of_no_words() -> None:
    words = Scorer(["dog"], ["dog"], "none").score("x", ["dog"]).as_json()["words"]
    assert words["0"] == {"right": 0, "total": 0, "accuracy": None}
    assert words["1"] == {"right": 1, "total": 1, "accuracy": 1.0}


def test_a_report_tells_how_it_was_scored() -> None:
    scorer = Scorer(REFERENCES, None, "none")
    scores, better = scorer.score("x", WORSE), scorer.score("y", REFERENCES)
    groups = {"baseline": [scores], "system": [better]}
    report = TranslationReport(groups, scorer.signatures, [{"BLEU": 0.25}])
    *table, bleu, chrf, significance = str(report).splitlines()
    assert [line.split()[0] for line in table[1:]] == ["x", "y"]
    assert bleu.startswith("BLEU  ") and "tok:none" in bleu and chrf.startswith("chrF2  ")
    assert significance.startswith("y against its baseline") and "BLEU p = 0.2500" in significance
