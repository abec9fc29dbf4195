"""Every table of N-way K-shot names the rule by which the memory names a class."""

from pathlib import Path

import numpy as np
import pytest

from fairseq_plugins.data.episodes import Protocol
from fairseq_plugins.data.omniglot import OmniglotImages
from fairseq_plugins.evaluation import omniglot
from fairseq_plugins.evaluation.omniglot import HEADINGS, Drawings, Measures, evaluate
from fairseq_plugins.experiments.omniglot import omniglot_table
from fairseq_plugins.modules.one_shot import NEAREST, RULES


@pytest.mark.parametrize("rule", RULES)
def test_tables_state_the_rule(monkeypatch: pytest.MonkeyPatch, rule: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (6, 20, 8, 8)).astype(np.uint8)
    images = OmniglotImages(pixels, [f"class{n}" for n in range(6)], ["Greek"] * 6)
    monkeypatch.setattr(omniglot, "part_to_test", lambda *_: ("vinyals", images))
    measures = Measures([Protocol(5, 5, rule=rule)], episodes=3)
    report = evaluate(None, Drawings(Path("x")), measures)
    assert str(report).startswith(f"{HEADINGS[rule]}\n5way_5shot")
    result = report.as_json()
    assert result["rule"] == rule
    assert HEADINGS[rule] in omniglot_table([result | {"seed": 1, "training_seconds": 60}])


def test_results_from_before_the_rule_was_noted_are_votes() -> None:
    old = {"split": "vinyals", "training_seconds": 60, "few_shot": {"5way_1shot": {"mean": 99.0}}}
    assert HEADINGS[NEAREST] not in omniglot_table([old]) and "99.0" in omniglot_table([old])
