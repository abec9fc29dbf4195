"""The wheel is enough: without the project's folder it trains, teaches and translates."""

import json
import os
import re
import shutil
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.programs import run, succeeded
from tests.tiny_training import training_options

pytestmark = pytest.mark.integration
SOURCES = ("fairseq_plugins", "data_prep", "configs", "pyproject.toml", "README.md", "LICENSE")
ENDS = ("py", "yaml", "html", "css", "js", "svg")
CACHES = shutil.ignore_patterns("__pycache__")


def call(*command: object, cwd: Path) -> str:
    """Run a program that must succeed, and that must not see this folder; return its stdout."""
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    done = run(*command, cwd=cwd, env=environment)
    succeeded(done)
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the programs of an environment that holds the wheel, and sees what it depends on."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=CACHES)
        else:
            shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--isolated", "--quiet", "--disable-pip-version-check"]
    call(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source, cwd=folder)
    shutil.rmtree(source)
    venv.create(folder / "venv", symlinks=True)
    programs = folder / "venv" / "bin"
    python = programs / "python"
    (wheel,) = folder.glob("*.whl")
    call(*pip, "--python", python, "install", "--no-deps", wheel, cwd=folder)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    # What a file *.pth names is searched last, and its own *.pth files, such as that of an
    # editable installation of this project, are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for program in Path(sys.executable).parent.glob("fairseq-*"):
        if program.name != "fairseq-memory":
            text = program.read_text(encoding="utf-8")
            (programs / program.name).write_text(re.sub(r"^#!.*", f"#!{python}", text))
            (programs / program.name).chmod(0o755)
    return programs


@pytest.fixture(scope="module")
def user_dir(installed: Path) -> Path:
    """Return the plug-in's folder that the console script prints."""
    folder = Path(call(installed / "fairseq-memory", "user-dir", cwd=installed).strip())
    assert folder.is_relative_to(installed.parent) and folder.is_absolute()
    return folder


def test_it_holds_all_modules_and_configurations(user_dir: Path) -> None:
    def files(folder: Path) -> set[Path]:
        found = [path for end in ENDS for path in folder.rglob(f"*.{end}")]
        configs = [path for path in (folder / "configs").rglob("*.yaml")]  # rglob skips links
        return {path.relative_to(folder) for path in [*found, *configs]}

    for package in ("fairseq_plugins", "data_prep"):
        theirs = files(user_dir.with_name(package))
        assert theirs == files(ROOT / package)
        assert any(path.suffix == ".yaml" for path in theirs)


def test_it_trains_fills_and_translates(
    installed: Path, user_dir: Path, tiny_data: Path, tiny_text: Path, tmp_path: Path
) -> None:
    options = training_options(tmp_path / "model", 4)
    options[options.index("--user-dir") + 1] = user_dir
    call(installed / "fairseq-train", tiny_data, *options, cwd=tmp_path)
    last, filled = tmp_path / "model" / "checkpoint_last.pt", tmp_path / "filled.pt"
    told = call(installed / "fairseq-memory", "fill", "--path", last, "--data", tiny_data,
                "--memory-size", 500, "--output", filled, "--cpu", cwd=tmp_path)  # fmt: skip
    assert "slots filled" in told
    told = call(installed / "fairseq-memory", "evaluate", "translation", filled, "--json",
                "--ref", tiny_text / "test.yy", "--tokenize", "none", "--data", tiny_data,
                "--beam", 1, "--threads", 1, "--cpu", cwd=tmp_path)  # fmt: skip
    assert json.loads(told)["system"][0]["bleu"] >= 0


def test_it_prepares_data(installed: Path, tmp_path: Path) -> None:
    told = call(installed / "python", "-m", "data_prep.wmt14_en_de", "--out", tmp_path / "wmt14",
                "--dry-run", cwd=tmp_path)  # fmt: skip
    assert "wmt14" in told
