"""The project as a whole: its configs, versions, commands and files are consistent."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from fairseq.dataclass.configs import FairseqConfig
from fairseq.dataclass.initialize import hydra_init
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import fairseq_plugins  # noqa: F401, registers what configs name
from tests.conftest import ROOT
from tests.programs import LONGEST

CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
TEST_COMMAND = "make test"
# Where somebody's machine shows through: absolute homes, and folders beside the clone.
MACHINE_PATHS = re.compile(
    r"(?<![\w./-])(/work|/root|/home/\w+|/Users/\w+|/tmp/\w+)/|\.\./shared\b"
)
MAY_NAME_A_NEIGHBOUR = {".ci/run"}  # the default of RARE_DATA
BINARY = {".npz", ".png", ".pdf", ".safetensors", ".pt"}


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Return the files that git tracks, relative to the root."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git clone")
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"]  # whoever owns the folder
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [Path(name) for name in listing.stdout.split("\0") if (ROOT / name).is_file()]


# --- Configs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CONFIGS, ids=[path.stem for path in CONFIGS])
def test_config_sets_only_options_that_exist(path: Path) -> None:
    """Every option exists in the dataclass of its section, with the correct type."""
    hydra_init()
    store = ConfigStore.instance()
    config = OmegaConf.load(path)
    assert config.pop("hydra") == {"job": {"chdir": False}}
    for section, options in config.items():
        if "_name" in options:
            schema = store.load(f"{section}/{options['_name']}.yaml").node
        else:
            schema = OmegaConf.structured(FairseqConfig)[section]
        merged = OmegaConf.merge(schema, options)
        given = [name for name in options if not OmegaConf.is_missing(options, name)]
        assert [merged[name] for name in given] == [options[name] for name in given]


def test_there_are_configs() -> None:
    """Otherwise the test above would pass by finding nothing."""
    assert CONFIGS


# --- Versions -------------------------------------------------------------------------------------


def read_project() -> dict:
    """Return what pyproject.toml says."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def read_pins() -> dict[str, str]:
    """Return the version of every pinned package."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line.split("==") for line in lines if not line.startswith("#")]
    assert len({canonicalize_name(name) for name, _ in pins}) == len(pins), "pinned twice"
    return {canonicalize_name(name): version for name, version in pins}


def requirements() -> list[Requirement]:
    """Everything that set-up installs."""
    project = read_project()
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    return [Requirement(line) for line in wanted]


@pytest.mark.parametrize("requirement", requirements(), ids=lambda requirement: requirement.name)
def test_pin_satisfies_requirement(requirement: Requirement) -> None:
    """constraints.txt has one version of each dependency, which pyproject.toml allows."""
    assert requirement.specifier.contains(read_pins()[canonicalize_name(requirement.name)])


def test_extras_of_the_readme_exist() -> None:
    """All extras in the documentation exist."""
    assert {"faiss", "gpu", "demo", "dev"} <= set(read_project()["optional-dependencies"])


# --- Commands -------------------------------------------------------------------------------------


def readme_commands() -> list[str]:
    """Return the lines of README's code blocks, without comments."""
    readme = (ROOT / "README.md").read_text()
    if not readme:
        pytest.skip("README.md is empty")
    blocks = re.findall(r"```(?:ba)?sh\n(.*?)```", readme, re.DOTALL)
    return [line.split(" #")[0].strip() for block in blocks for line in block.splitlines()]


def test_ci_runs_the_test_command_and_nothing_after_it() -> None:
    """Continuous integration ends with the command that users are told."""
    assert (ROOT / ".ci/run").read_text().splitlines()[-1] == TEST_COMMAND
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_readme_tells_the_test_command() -> None:
    """Users run what continuous integration runs."""
    assert TEST_COMMAND in readme_commands()


def test_readme_names_targets_and_programs_that_exist() -> None:
    """No command in the README is out of date."""
    targets = re.findall(r"^([a-z0-9_-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for line in readme_commands():
        if found := re.match(r"make ([a-z]\S*)$|make ([a-z]\S*) ", line):
            assert found[1] or found[2] in targets, line
        for program in re.findall(r"\bscripts/\w+\.\w+", line):
            assert (ROOT / program).is_file(), line


# --- Set-up ---------------------------------------------------------------------------------------


def set_up(venv: Path, python: str, path: str) -> subprocess.CompletedProcess:
    """Run scripts/setup_env.sh with another PATH."""
    bash = shutil.which("bash")
    assert bash
    command = [bash, "scripts/setup_env.sh", str(venv), python]
    environment = os.environ | {"PATH": path}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LONGEST
    )


@pytest.mark.parametrize(
    ("python", "path", "remedy"),
    [
        ("no-such-python", os.environ["PATH"], "make PYTHON="),
        ("false", os.environ["PATH"], "make PYTHON="),
        (sys.executable, "", "no C++ compiler"),
    ],
    ids=["missing", "unsuitable", "no compiler"],
)
def test_setup_says_what_is_missing(tmp_path: Path, python: str, path: str, remedy: str) -> None:
    """One line names the remedy, before anything is created."""
    done = set_up(tmp_path / "venv", python, path)
    assert done.returncode != 0
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert remedy in done.stderr
    assert not (tmp_path / "venv").exists()


# --- Files ----------------------------------------------------------------------------------------


def test_every_module_says_what_it_is_for(tracked: list[Path]) -> None:
    """Every file begins with a docstring."""
    modules = [path for path in tracked if path.suffix == ".py"]
    assert modules
    silent = [
        str(path) for path in modules if not ast.get_docstring(ast.parse((ROOT / path).read_text()))
    ]
    assert not silent


def test_no_file_names_a_machine(tracked: list[Path]) -> None:
    """The project works from any clone path."""
    found = [
        f"{path}:{number}: {line.strip()}"
        for path in tracked
        if path.suffix not in BINARY and str(path) not in MAY_NAME_A_NEIGHBOUR
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1)
        if MACHINE_PATHS.search(line)
    ]
    assert not found


# --- The architecture page ------------------------------------------------------------------------


def architecture_blocks() -> list[str]:
    """Return the blocks of the page that show the folders and the layers."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.partition("## Folders")[2].partition("\n## ")[0]
    return re.findall(r"^```text\n(.*?)^```", section, re.M | re.S)


def test_the_page_shows_the_layers_that_are_checked() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(one["layers"] for one in contracts["contracts"] if one["type"] == "layers")
    assert architecture_blocks()[1].splitlines() == [layer.strip("()") for layer in layers]


def test_the_page_names_files_that_exist(tracked: list[Path]) -> None:
    named = set(re.findall(r"\b[\w/]+\.(?:py|sh)\b", architecture_blocks()[0]))
    assert len(named) > 50
    missing = {name for name in named if not any(path.match(name) for path in tracked)}
    assert not missing


def test_the_page_names_every_file_at_the_top(tracked: list[Path]) -> None:
    folders = architecture_blocks()[0]
    top = {path.name for path in tracked if path.parent == Path("fairseq_plugins")}
    assert {name for name in top if name.endswith(".py") and name not in folders} == set()
