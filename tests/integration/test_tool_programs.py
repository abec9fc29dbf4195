"""The programs in scripts/ that work on checkpoints and translations."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]


def script(name: str, *arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def assert_one_line(done: subprocess.CompletedProcess, part: str) -> None:
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ") and part in done.stderr


def test_average_fill_calibrate_and_translate(trained: Any, tmp_path: Path) -> None:
    average, filled, report = tmp_path / "average.pt", tmp_path / "filled.pt", tmp_path / "r.json"
    done = script("average_checkpoints", "--inputs", trained.last,
                  trained.folder / "checkpoint_1_10.pt", "--output", average)  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = script("fill_memory", "--path", average, "--data", trained.data, "--clear",
                  "--memory-size", 2000, "--calibrate", "valid", "--output", filled,
                  "--cpu")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "slots filled" in done.stderr and "calibrated" in done.stderr
    done = script("evaluate_translation", filled, "--baseline", average, "--data", trained.data,
                  "--cpu", "--ref", trained.text / "test.yy", "--train", trained.text / "train.yy",
                  "--tokenize", "none", "--json", report)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "BLEU" in done.stdout and "tok:none" in done.stdout and "p = " in done.stdout
    numbers = json.loads(report.read_text())
    assert [entry["name"] for entry in numbers["system"]] == [str(filled)]
    words = sum(bucket["total"] for bucket in numbers["system"][0]["words"].values())
    assert words == len((trained.text / "test.yy").read_text().split())


def test_last_moving_averages_of_a_folder(trained: Any, tmp_path: Path) -> None:
    done = script("average_checkpoints", "--dir", trained.folder, "--last", 1, "--ema",
                  "--output", tmp_path / "ema.pt")  # fmt: skip
    assert done.returncode == 0, done.stderr
    ema = torch.load(trained.folder / "checkpoint1.pt")["extra_state"]["ema"]
    name = "decoder.output.bias"
    assert torch.equal(torch.load(tmp_path / "ema.pt")["model"][name], ema[name])


def test_same_text_scores_a_hundred(trained: Any) -> None:
    reference = trained.text / "test.yy"
    done = script("evaluate_translation", reference, reference, "--ref", reference)
    assert done.returncode == 0, done.stderr
    assert "100.00 ± 0.00" in done.stdout


@pytest.mark.parametrize("program", ["fill_memory", "average_checkpoints"])
def test_damaged_checkpoint_leaves_no_output(trained: Any, tmp_path: Path, program: str) -> None:
    broken = tmp_path / "broken.pt"
    broken.write_bytes(trained.last.read_bytes()[:5000])
    which = {"fill_memory": ["--data", trained.data, "--path"], "average_checkpoints": ["--inputs"]}
    done = script(program, *which[program], broken, "--output", tmp_path / "out.pt")
    assert_one_line(done, "broken.pt: damaged")
    assert list(tmp_path.iterdir()) == [broken]


@pytest.mark.parametrize("what", ["--path", "--data"])
def test_missing_input_is_named(trained: Any, tmp_path: Path, what: str) -> None:
    inputs = {"--path": trained.last, "--data": trained.data} | {what: tmp_path / "nowhere"}
    arguments = [part for pair in inputs.items() for part in pair]
    done = script("fill_memory", *arguments, "--output", tmp_path / "out.pt")
    assert_one_line(done, "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_missing_reference_is_named(trained: Any, tmp_path: Path) -> None:
    done = script("evaluate_translation", trained.text / "test.yy", "--ref", tmp_path / "nowhere")
    assert_one_line(done, "nowhere: No such file or directory")
