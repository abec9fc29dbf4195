"""The demo runs to its end, at its smallest size."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from fairseq_plugins.errors import InputError
from fairseq_plugins.experiments.demo import (
    PLAIN,
    REMEMBERING,
    Plan,
    converse,
    demonstrate,
    next_steps,
)
from tests.programs import run, succeeded

SMALL = ("--words", "3", "--names", "400", "--train", "60", "--valid", "5", "--test", "4",
         "--held-out", "2")  # fmt: skip

pytestmark = pytest.mark.integration


def test_it_compares_and_teaches_and_is_not_repeated_with_other_settings(tmp_path: Path) -> None:
    plan = Plan(tmp_path / "the demo", updates=4, seed=1, threads=2, language=SMALL)
    scores, recalls = demonstrate(plan)
    assert [scores[arch].name for arch in (PLAIN, REMEMBERING)] == ["without memory", "with memory"]
    assert len(recalls) == 2 and all(one.translation in one.reference for one in recalls)
    trained = plan.trained(PLAIN).stat().st_mtime_ns
    assert demonstrate(plan) == (scores, recalls)
    assert plan.trained(PLAIN).stat().st_mtime_ns == trained
    with pytest.raises(InputError, match="was created with other settings"):
        demonstrate(replace(plan, updates=5))
    told = converse(plan, recalls[0])
    assert told.before == told.forgotten
    assert converse(plan, recalls[0]) == told  # in the folder that is already there
    steps = [shlex.split(step.replace("\\\n", " ")) for step in next_steps(plan).values()]
    translate, serve, inspect, repeat = steps
    done = run(*translate, stdin=f"{recalls[0].source}\n")
    assert len(succeeded(done).splitlines()) == 1
    assert "gnmt_memory_tiny" in succeeded(run(*inspect))
    assert succeeded(run(*serve, "--help")).startswith("usage: ")
    assert succeeded(run(*repeat, "--help")).startswith("usage: ")
