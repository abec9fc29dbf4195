"""The verbs of ``fairseq-memory`` that work on checkpoints and translations."""

import json
from pathlib import Path

import pytest
import torch

from tests.programs import assert_one_line, verb
from tests.tiny_training import Training

pytestmark = pytest.mark.integration


def test_average_fill_calibrate_and_translate(trained: Training, tmp_path: Path) -> None:
    average, filled = tmp_path / "average.pt", tmp_path / "filled.pt"
    done = verb("average", "--inputs", trained.last,
                  trained.folder / "checkpoint_1_10.pt", "--output", average)  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = verb("fill", "--path", average, "--data", trained.data, "--clear",
                  "--memory-size", 2000, "--calibrate", "valid", "--output", filled,
                  "--cpu")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "slots filled" in done.stdout and "calibrated" in done.stdout
    done = verb("evaluate", "translation", filled, "--baseline", average, "--data", trained.data,
                  "--cpu", "--ref", trained.text / "test.yy", "--train", trained.text / "train.yy",
                  "--tokenize", "none", "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    numbers = json.loads(done.stdout)
    assert "tok:none" in numbers["signatures"]["BLEU"]
    assert set(numbers["significance"][0]) == {"BLEU", "chrF2"}
    assert [entry["name"] for entry in numbers["system"]] == [str(filled)]
    words = sum(bucket["total"] for bucket in numbers["system"][0]["words"].values())
    assert words == len((trained.text / "test.yy").read_text().split())


def test_last_moving_averages_of_a_folder(trained: Training, tmp_path: Path) -> None:
    done = verb("average", "--dir", trained.folder, "--last", 1, "--ema",
                  "--output", tmp_path / "ema.pt")  # fmt: skip
    assert done.returncode == 0, done.stderr
    ema = torch.load(trained.folder / "checkpoint1.pt")["extra_state"]["ema"]
    name = "decoder.output.bias"
    assert torch.equal(torch.load(tmp_path / "ema.pt")["model"][name], ema[name])


def test_same_text_scores_a_hundred(trained: Training) -> None:
    reference = trained.text / "test.yy"
    done = verb("evaluate", "translation", reference, reference, "--ref", reference)
    assert done.returncode == 0, done.stderr
    assert "100.00 ± 0.00" in done.stdout


@pytest.mark.parametrize("program", ["fill", "average"])
def test_damaged_checkpoint_leaves_no_output(
    trained: Training, tmp_path: Path, program: str
) -> None:
    broken = tmp_path / "broken.pt"
    broken.write_bytes(trained.last.read_bytes()[:5000])
    which = {"fill": ["--data", trained.data, "--path"], "average": ["--inputs"]}
    done = verb(program, *which[program], broken, "--output", tmp_path / "out.pt")
    assert_one_line(done, "broken.pt: damaged")
    assert list(tmp_path.iterdir()) == [broken]


@pytest.mark.parametrize("what", ["--path", "--data"])
def test_missing_input_is_named(trained: Training, tmp_path: Path, what: str) -> None:
    inputs = {"--path": trained.last, "--data": trained.data} | {what: tmp_path / "nowhere"}
    arguments = [part for pair in inputs.items() for part in pair]
    done = verb("fill", *arguments, "--output", tmp_path / "out.pt")
    assert_one_line(done, "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_missing_reference_is_named(trained: Training, tmp_path: Path) -> None:
    done = verb("evaluate", "translation", trained.text / "test.yy", "--ref", tmp_path / "nowhere")
    assert_one_line(done, "nowhere: No such file or directory")
