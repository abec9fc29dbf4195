"""README's commands do what it says, on a tiny corpus."""

import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.programs import run, succeeded

COMMANDS = re.compile(r"^```bash\n(.*?)^```", re.M | re.S)
SENTENCES = 3  # to translate
# Appended to a command, so that it takes seconds instead of hours; the last one given counts.
SMALLER = {
    "data_prep.parallel": "--test corpus/test,corpus/new",
    "fairseq-train": "--arch gnmt_memory_tiny --units 16 --memory-size 64 --memory-key-dim 8 "
    "--memory-neighbors 4 --max-target-positions 60 --max-update 4 --num-workers 0",
    "fairseq-interactive": "--beam 2 --input corpus/test.en --max-len-b 5",
    "evaluate translation": "--beam 2 --threads 1",
}


def own_corpus_commands() -> list[str]:
    """Return the commands of the section on the user's own corpus, in order."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("## Your own corpus")[2].partition("\n## ")[0]
    return COMMANDS.findall(section)


@pytest.fixture
def clone(tmp_path: Path, tiny_text: Path) -> Path:
    """Return a folder that looks like the project's, with a corpus in it."""
    for name in ("fairseq_plugins", "data_prep", "scripts"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "corpus").mkdir()
    for part, split in (("train", "train"), ("dev", "valid"), ("test", "test"), ("new", "test")):
        for language, suffix in (("en", "xx"), ("de", "yy")):
            lines = (tiny_text / f"{split}.{suffix}").read_text().splitlines()
            lines = lines[:SENTENCES] if part == "test" else lines
            (tmp_path / f"corpus/{part}.{language}").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.mark.integration
def test_own_corpus_in_four_commands_and_two_more(clone: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}
    outputs = []
    for command in own_corpus_commands():
        extra = next((more for name, more in SMALLER.items() if name in command), "")
        words = [*shlex.split(command.replace("\\\n", " ")), *extra.split()]
        done = run(*words, cwd=clone, env=environment)
        succeeded(done)
        outputs.append(done.stdout)
    assert len(outputs) == 6
    translate, evaluate = outputs[3], outputs[4]
    assert len(re.findall(r"^D-", translate, re.M)) == SENTENCES
    assert "BLEU" in evaluate
    assert (clone / "checkpoints/taught.pt").exists()
