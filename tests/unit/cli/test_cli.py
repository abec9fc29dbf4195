"""The console script: help at once, three exit codes, results for people and for programs."""

import argparse
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairseq_plugins import cli, verbs
from fairseq_plugins.benchmarks import programs as benchmark_programs
from fairseq_plugins.cli.__main__ import main
from fairseq_plugins.experiments import programs as experiment_programs
from fairseq_plugins.memory.snapshot import save_memory
from tests.conftest import PLUGINS, ROOT
from tests.programs import run, verb
from tests.unit.memory.states import lived

# Says what would be slow, instead of importing it.
LIGHT = """
import sys
for heavy in ("torch", "fairseq", "numpy", "matplotlib", "sacrebleu"):
    sys.modules[heavy] = None
sys.argv = ["fairseq-memory", *sys.argv[1:]]
from fairseq_plugins.cli.__main__ import main
main()
"""


def leaves(parser: argparse.ArgumentParser, *path: str) -> Iterator[tuple[str, ...]]:
    """Yield the verbs of a program, each with those above it."""
    found = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not found:
        yield path
    for name, below in (found[0].choices if found else {}).items():
        yield from leaves(below, *path, name)


@pytest.fixture(autouse=True)
def tests_log_as_they_like(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave logging and signals of this process as they are."""
    monkeypatch.setattr("fairseq_plugins.program.start", lambda: None)


VERBS = list(leaves(verbs.parser(cli, "fairseq-memory")))


def test_there_are_the_promised_verbs() -> None:
    assert {path[0] for path in VERBS} >= {
        "fill", "average", "snapshot", "inspect", "evaluate", "user-dir",
    }  # fmt: skip
    assert {path for path in VERBS if path[0] == "snapshot"} == {
        ("snapshot", what) for what in ("save", "load", "show")
    }


@pytest.mark.parametrize("path", VERBS, ids=" ".join)
def test_every_verb_explains_itself_with_an_example(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*path, "--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert re.search(rf"^    fairseq-\S+ .*{path[-1]}", told, re.M), told
    assert "--json" in told


@pytest.mark.parametrize("path", [(), *VERBS], ids=" ".join)
def test_help_needs_nothing_heavy(path: tuple[str, ...]) -> None:
    done = run(sys.executable, "-c", LIGHT, *path, "--help", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: fairseq-memory")


@pytest.mark.parametrize(
    ("name", "programs"),
    [("reproduce", experiment_programs), ("benchmark", benchmark_programs)],
)
def test_help_of_our_scripts_needs_nothing_heavy(name: str, programs: object) -> None:
    assert list(leaves(verbs.parser(programs, name)))
    script = ROOT / "scripts" / f"{name}.py"
    code = LIGHT.partition("sys.argv")[0] + (
        f"import runpy\nsys.argv = [{str(script)!r}, '--help']\n"
        f"runpy.run_path({str(script)!r}, run_name='__main__')\n"
    )
    done = run(sys.executable, "-c", code, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_the_folder_of_the_plug_in_is_told_at_once() -> None:
    done = run(sys.executable, "-c", LIGHT, "user-dir", cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, f"{PLUGINS}\n"), done.stderr


def test_the_folder_of_the_plug_in_is_absolute(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["user-dir"]) == 0
    assert capsys.readouterr().out == f"{PLUGINS}\n"
    assert main(["user-dir", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"user_dir": str(PLUGINS)}


@pytest.mark.parametrize("verb", [["inspect"], ["snapshot", "show"]], ids=" ".join)
def test_a_snapshot_is_described(
    verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "memory.safetensors"
    save_memory(lived(), path)
    assert main([*verb, str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["size"] == 40
    assert main([*verb, str(path)]) == 0
    assert re.search(r"^size +40$", capsys.readouterr().out, re.MULTILINE)


def test_a_mistake_of_the_user_is_one_line_and_code_one(tmp_path: Path) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = verb("inspect", "broken.safetensors", cwd=tmp_path, env=environment)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: broken.safetensors is damaged")
    assert done.stderr.count("\n") == 1


def test_a_reader_that_has_seen_enough_ends_the_program_without_a_word() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = run_user_dir(writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def run_user_dir(stdout: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fairseq_plugins.cli", "user-dir"]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
def test_output_that_there_is_no_room_for_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = run_user_dir(full.fileno())
    told = "error: standard output cannot be written to: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_combinations_that_say_nothing_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["average", "--last", "3", "--output", "x.pt"])
    assert ended.value.code == 2
    assert "--last and --dir go together" in capsys.readouterr().err


def test_the_package_installs_the_console_script() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"fairseq-memory": "fairseq_plugins.cli.__main__:main"}
