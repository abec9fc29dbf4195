"""A folder of files becomes a command line."""

import argparse
import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from fairseq_plugins import verbs

VERB = '''"""Double a number.

    program {name} 3

The result is a number.
"""


def arguments(parser):
    parser.add_argument("number", type=int)


def run(args):
    return {factor} * args.number
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Yield a program with a verb, a verb of verbs, and a file that is none."""
    root = tmp_path / "some_verbs"
    (root / "more").mkdir(parents=True)
    (root / "__init__.py").write_text('"""Calculate."""\n')
    (root / "_helper.py").write_text("raise AssertionError\n")
    (root / "two_fold.py").write_text(VERB.format(name="two-fold", factor=2))
    (root / "more" / "__init__.py").write_text('"""Calculate more."""\n')
    (root / "more" / "ten_fold.py").write_text(VERB.format(name="more ten-fold", factor=10))
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("some_verbs")
    for name in [name for name in sys.modules if name.partition(".")[0] == "some_verbs"]:
        del sys.modules[name]


@pytest.mark.parametrize(("line", "result"), [("two-fold 3", 6), ("more ten-fold 3", 30)])
def test_a_file_is_a_verb_and_a_folder_has_some(
    package: ModuleType, line: str, result: int
) -> None:
    args = verbs.parser(package, "program").parse_args(line.split())
    assert args.run(args) == result


def test_what_verbs_share_is_known_to_all(package: ModuleType) -> None:
    def shared(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--loud", action="store_true")

    parser = verbs.parser(package, "program", shared)
    assert parser.parse_args(["more", "ten-fold", "1", "--loud"]).loud
    assert not parser.parse_args(["two-fold", "1"]).loud


def test_help_is_the_docstring(package: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        verbs.parser(package, "program").parse_args(["--help"])
    assert "two-fold  Double a number." in capsys.readouterr().out
    with pytest.raises(SystemExit):
        verbs.parser(package, "program").parse_args(["more", "ten-fold", "--help"])
    assert "    program more ten-fold 3\n" in capsys.readouterr().out


@pytest.mark.parametrize("line", ["", "more", "three-fold 1", "two-fold", "two-fold x"])
def test_wrong_usage_ends_with_two(package: ModuleType, line: str) -> None:
    with pytest.raises(SystemExit) as ended:
        verbs.parser(package, "program").parse_args(line.split())
    assert ended.value.code == 2


def test_a_verb_can_refuse_a_combination(package: ModuleType) -> None:
    args = verbs.parser(package, "program").parse_args(["two-fold", "3"])
    with pytest.raises(SystemExit) as ended:
        args.error("not three")
    assert ended.value.code == 2


def test_options_may_stand_between_arguments(package: ModuleType) -> None:
    """argparse alone would take an optional argument after an option for one too many."""
    root = Path(package.__path__[0])
    (root / "join.py").write_text(
        '"""Join."""\n\n\ndef arguments(parser):\n    parser.add_argument("one")\n'
        '    parser.add_argument("two", nargs="?")\n    parser.add_argument("--loud", '
        'action="store_true")\n\n\nrun = None\n'
    )
    parser = verbs.parser(package, "program")
    for line in ("--loud a b", "a --loud b", "a b --loud", "--loud a -- b"):
        args = parser.parse_args(["join", *line.split()])
        assert (args.one, args.two, args.loud) == ("a", "b", True)
    dashed = parser.parse_args(["join", "--", "-a", "--loud"])
    assert (dashed.one, dashed.two, dashed.loud) == ("-a", "--loud", False)
    with pytest.raises(SystemExit):
        parser.parse_args(["join", "a", "b", "c"])
