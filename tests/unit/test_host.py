"""Importing us changes fairseq in its programs and in ours, and nothing in those of others."""

import subprocess
import sys
from pathlib import Path

import pytest

from fairseq_plugins.host import is_fairseqs, is_ours
from tests.conftest import ROOT
from tests.programs import SOURCE, cold

# What a program may have set up for itself, before and after we are imported.
IMPORTED_BY_SOMEBODY = """
import logging, os, signal, sys, threading, warnings
import fairseq.tasks, fairseq.models, fairseq.criterions, fairseq.trainer, torch, hydra
{program}

def installed():
    signals = [signal.getsignal(number) for number in signal.valid_signals()]
    logs = [(log.level, list(log.handlers)) for log in (logging.root, logging.getLogger("hydra"))]
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook, torch.load
    return hooks, signals, logs, list(warnings.filters), dict(os.environ)

before = installed()
import fairseq_plugins
for was, now in zip(before, installed(), strict=True):
    assert was == now, (was, now)
assert "gnmt_memory" in fairseq.models.ARCH_MODEL_REGISTRY
sys.argv = [""]  # which runpy changes at the end
"""


@pytest.mark.parametrize(
    "program",
    ["sys.argv = ['elsewhere/train.py']", "sys.argv = ['']", "sys.argv = []", "del sys.argv"],
)
def test_nothing_is_installed_in_programs_of_others(program: str) -> None:
    source = IMPORTED_BY_SOMEBODY.format(program=program)
    done = subprocess.run([sys.executable, SOURCE, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("program", ["/usr/bin/fairseq-train", "x/fairseq_cli/generate.py",
                                     "C:/Scripts/fairseq-hydra-train.exe"])  # fmt: skip
def test_programs_of_fairseq_are_known(program: str) -> None:
    assert is_fairseqs(program) and not is_ours(program)


OURS = [*sorted((ROOT / "scripts").glob("*.py")), ROOT / "fairseq_plugins/cli/__main__.py",
        Path("/usr/bin/fairseq-memory"), Path("C:/Scripts/fairseq-memory.exe")]  # fmt: skip


@pytest.mark.parametrize("program", OURS, ids=lambda path: path.name)
def test_programs_of_ours_are_known(program: Path) -> None:
    assert is_ours(str(program)) and not is_fairseqs(str(program))


@pytest.mark.parametrize(
    "program",
    ["", "-c", "-m", "elsewhere/fairseq-experiments.py", "x/train.py", "scripts/nosuch.py"],
)
def test_programs_of_others_are_known(program: str) -> None:
    assert not is_fairseqs(program) and not is_ours(program)


def test_help_of_the_module_imports_neither_torch_nor_fairseq() -> None:
    with cold():
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "fairseq_plugins.cli", "--help"],
            capture_output=True, text=True, cwd=ROOT,
        )  # fmt: skip
    assert done.stdout.startswith("usage: fairseq-memory")
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "fairseq_plugins.host" in imported and not imported & {"torch", "fairseq"}
