"""Algorithms are learned with fairseq's programs, also by the translator."""

import re
from pathlib import Path

import pytest
from fairseq.checkpoint_utils import load_model_ensemble

from fairseq_plugins.teaching.filled import Filling, fill_checkpoint
from fairseq_plugins.teaching.loaded_checkpoint import Corpus, LoadedCheckpoint
from tests.programs import fairseq, succeeded
from tests.tiny_training import PLUGINS

pytestmark = pytest.mark.integration


def options(folder: Path, *more: object) -> list[object]:
    return [
        "--user-dir", PLUGINS, "--task", "algorithmic", "--min-length", 1, "--max-length", 3,
        "--batch-size", 32, "--batches", 100, "--valid-batches", 5, "--dropout", 0,
        "--share-all-embeddings", "--units", 32, "--criterion", "memory_cross_entropy",
        "--label-smoothing", 0, "--optimizer", "adam", "--lr", 0.01, "--clip-norm", 1,
        "--save-dir", folder, "--cpu", "--num-workers", 0, "--log-format", "simple",
        "--best-checkpoint-metric", "sequences_right", "--maximize-best-checkpoint-metric", *more,
    ]  # fmt: skip


def right(log: str) -> float:
    return float(re.findall(r"valid on 'valid'.*sequences_right ([\d.]+)", log)[-1])


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("copy")
    more = ["--algorithm", "copy", "--arch", "gnmt_tiny", "--max-epoch", 2]
    return folder, succeeded(fairseq("train", *options(folder, *more)))


def test_copying_is_learned(learned: tuple[Path, str]) -> None:
    assert right(learned[1]) > 80


def test_generating_agrees_with_validation(learned: tuple[Path, str]) -> None:
    done = fairseq(
        "generate", "--user-dir", PLUGINS, "--task", "algorithmic", "--algorithm", "copy",
        "--path", learned[0] / "checkpoint_last.pt", "--gen-subset", "test_2", "--beam", 1,
        "--batch-size", 32, "--cpu", "--valid-batches", 5,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    lines = {
        kind: dict(re.findall(rf"^{kind}-(\d+)\t(?:\S+\t)?(.*)$", done.stdout, re.MULTILINE))
        for kind in ("S", "T", "H")
    }
    assert len(lines["S"]) == 160 and lines["S"] == lines["T"]
    assert all(len(text.split()) == 2 for text in lines["S"].values())
    exact = sum(lines["H"][number] == text for number, text in lines["T"].items())
    assert exact > 0.8 * 160


@pytest.mark.parametrize("joins", [0, 1000])
def test_a_memory_is_taught_and_filled_with_all_examples(tmp_path: Path, joins: int) -> None:
    done = fairseq(
        "train", *options(tmp_path, "--algorithm", "rare_symbols", "--symbols", 50,
        "--examples", 70, "--batches", 1, "--arch", "gnmt_memory_tiny", "--memory-size", 64,
        "--memory-key-dim", 8, "--memory-neighbors", 4, "--memory-from-update", joins,
        "--max-update", 10),
    )  # fmt: skip
    assert ("memory_fill" in succeeded(done)) == (joins == 0)
    filled = LoadedCheckpoint(tmp_path / "checkpoint_last.pt", Corpus(None))
    assert sum(batch["nsentences"] for batch in filled.batches("train")) == 96  # 70, in 32s
    how = Filling(memory_size=500, clear=True)
    report = fill_checkpoint(tmp_path / "checkpoint_last.pt", tmp_path / "filled.pt", how).fill
    assert report is not None and 0 < report.filled <= report.written == report.seen
    model = load_model_ensemble([str(tmp_path / "filled.pt")])[0][0]
    assert model.decoder.asks


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--min-length", 5], "--min-length 5 --max-length 3: the longest"),
        (["--algorithm", "sort"], "'sort' (choose from 'copy', 'reverse', 'binary_addition'"),
        (["--valid-subset", "dev"], "there is no subset 'dev'; use train"),
    ],
)
def test_what_cannot_be_is_a_line_of_advice(tmp_path: Path, wrong: list, message: str) -> None:
    done = fairseq("train", *options(tmp_path, "--arch", "gnmt_tiny", "--max-epoch", 1, *wrong))
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert message in done.stderr.strip().splitlines()[-1]
