"""What tests rely on: nothing that was set, or imported, before them changes what they do."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT
from tests.programs import SOURCE

SHOW = "import json, os, tests.environment; print(json.dumps(dict(os.environ)))"
FOREIGN = {
    "HTTP_PROXY": "http://127.0.0.1:9", "no_proxy": "", "LC_ALL": "xx_XX", "LANG": "de_DE",
    "COLUMNS": "20", "FORCE_COLOR": "1", "PYTHONUNBUFFERED": "1", "PIP_USER": "1", "GIT_DIR": "/x",
    "PYTHONDONTWRITEBYTECODE": "1", "RANK": "1", "WORLD_SIZE": "2", "SLURM_PROCID": "1",
}  # fmt: skip


def test_what_was_set_for_other_programs_is_gone_and_the_rest_is_kept() -> None:
    kept = {name: text for name, text in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, SOURCE, SHOW],
        env=kept | FOREIGN | {"OMP_NUM_THREADS": "7"}, cwd=ROOT, capture_output=True, check=True,
    )  # fmt: skip
    shown = json.loads(done.stdout)
    assert not FOREIGN.keys() & shown.keys() and shown["OMP_NUM_THREADS"] == "1"
    assert kept.items() <= shown.items()


def drawn() -> list[int]:
    """Return the examples of a test."""
    numbers = []

    @settings(max_examples=300)
    @given(st.integers())
    def draw(number: int) -> None:
        numbers.append(number)

    draw()
    return numbers


def test_examples_do_not_depend_on_what_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise they would be others after other tests."""
    before = drawn()
    (tmp_path / "constants.py").write_text(f"NUMBERS = {list(range(10**9, 10**9 + 100))}\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("constants")
    try:
        assert drawn() == before
    finally:
        del sys.modules["constants"]
