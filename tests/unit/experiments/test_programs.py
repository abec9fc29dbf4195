"""Programs that reproduce results check their arguments before they work."""

import argparse
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fairseq_plugins.errors import InputError
from fairseq_plugins.experiments.programs import (
    algorithms,
    domains,
    general,
    multi30k,
    omniglot,
    rare_symbols,
)

PROGRAMS = [algorithms, general, multi30k, omniglot, rare_symbols]


def parsed(program: ModuleType, *arguments: str) -> argparse.Namespace:
    """Return arguments of a program that may prepare nothing."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    program.arguments(parser)
    args = parser.parse_args(arguments)

    def prepare(*_: Any) -> None:
        pytest.fail("it has begun to work")

    args.prepare = prepare
    return args


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__.split(".")[-1])
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimization.nosuch=1", r"Could not override 'optimization\.nosuch'"),
        ("optimization.max_update=-1", "--max-update -1: must be at least 0"),
        ("++model.dropout=2", "--dropout 2.*: must be at least 0 and below 1"),
    ],
)
def test_changes_that_do_not_fit_are_refused_at_once(
    tmp_path: Path, program: ModuleType, override: str, message: str
) -> None:
    args = parsed(program, "--out", str(tmp_path / "out"), override)
    with pytest.raises(InputError, match=message):
        program.run(args)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__.split(".")[-1])
def test_seeds_are_not_negative(program: ModuleType) -> None:
    with pytest.raises(argparse.ArgumentError, match="--seeds: -1"):
        parsed(program, "--seeds=-1")


@pytest.mark.parametrize(
    "missing", ["base.pt", "spm.model", "dict.de.txt", "control.en", "train.de"]
)
def test_domains_need_all_files_before_any_work(tmp_path: Path, missing: str) -> None:
    names = ["base.pt", "spm.model", "dict.en.txt", "dict.de.txt"]
    texts = ("control", "train", "dev")
    names += [f"{text}.{language}" for text in texts for language in ("en", "de")]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / missing).unlink()
    args = parsed(
        domains, "--base", f"{tmp_path}/base.pt", "--data", str(tmp_path),
        "--spm", f"{tmp_path}/spm.model", "--source", str(tmp_path), "--domains", ".",
        "--control", f"{tmp_path}/control", "--out", f"{tmp_path}/out",
    )  # fmt: skip
    with pytest.raises(InputError, match=missing):
        domains.run(args)
    assert not (tmp_path / "out").exists()
