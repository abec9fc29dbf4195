"""Every program starts as for users, in a process that has imported nothing before.

``fairseq-train``, ``fairseq-generate`` and ``fairseq-memory`` do so in ``test_wheel.py``.
"""

import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.integration.test_configs import SHORT, SMALL
from tests.programs import cold, fairseq, run, succeeded
from tests.tiny_training import LINES, PLUGINS, Training

pytestmark = pytest.mark.integration

PREPARATIONS = [
    path.stem for path in (ROOT / "data_prep").glob("*.py") if "__main__" in path.read_text()
]
HELP = [
    *(["-m", f"data_prep.{name}"] for name in sorted(PREPARATIONS)),
    *([path] for path in sorted((ROOT / "scripts").glob("*.py"))),
]


@pytest.mark.parametrize("program", HELP, ids=lambda program: Path(program[-1]).name)
def test_help_is_told(program: list[str | Path]) -> None:
    with cold():
        done = run(sys.executable, *program, "--help", cwd=ROOT)
    assert succeeded(done).startswith("usage: ")


def test_a_corpus_is_binarised(tiny_text: Path, tmp_path: Path) -> None:
    given = ["-s", "xx", "-t", "yy", "--trainpref", tiny_text / "train", "--destdir", tmp_path]
    with cold():
        log = succeeded(fairseq("preprocess", *given))
    assert f"train.yy: {LINES['train']} sents" in log


def test_a_configuration_is_trained(tmp_path: Path) -> None:
    config, small = SMALL["rare symbols"]
    folders = [f"checkpoint.save_dir={tmp_path}", f"hydra.run.dir={tmp_path}"]
    given = ["--config-dir", "configs", "--config-name", config, *SHORT, *small, *folders]
    with cold():
        succeeded(fairseq("hydra-train", *given, cwd=ROOT))
    assert (tmp_path / "checkpoint_last.pt").exists()


TRANSLATED = ["--beam", 2, "--max-len-b", 5]
USES: dict[str, tuple[list[object], str]] = {
    "interactive": (TRANSLATED, "\nH-0\t"),
    "validate": (["--batch-size", 8], "memory_hit_rate"),
}


@pytest.mark.parametrize("name", USES)
def test_a_checkpoint_is_used(trained: Training, name: str) -> None:
    options, result = USES[name]
    given = ["--user-dir", PLUGINS, "--task", "translation_memory", "-s", "xx", "-t", "yy", "--cpu"]
    with cold():
        done = fairseq(
            name, trained.data, *given, "--path", trained.last, *options, stdin="w1 w2\n"
        )
    assert result in succeeded(done)
