"""Neural GPUs with the real programs: trained, resumed, decoded, evaluated, their memory filled."""

import json
import re
from pathlib import Path

import pytest
import torch

from tests.integration.watching import assert_one_model_and_memory, assert_resumes, watching
from tests.programs import fairseq, succeeded, verb
from tests.tiny_training import PLUGINS, WORKERS, train_by_workers

pytestmark = pytest.mark.integration
LENGTH, SYMBOLS = 2, 40


def options(folder: Path, *more: object, plugins: Path = PLUGINS) -> list[object]:
    return [
        "--user-dir", plugins, "--task", "algorithmic", "--min-length", 1, "--max-length", LENGTH,
        "--batch-size", 32, "--batches", 100, "--valid-batches", 5, "--curriculum-batches", 50,
        "--maps", 16, "--layers", 1, "--dropout", 0.1, "--gradient-noise", 0.001, "--relaxation", 2,
        "--relaxation-updates", 60,
        "--criterion", "memory_cross_entropy", "--label-smoothing", 0,
        "--optimizer", "adam", "--lr", 0.01, "--clip-norm", 1, "--save-dir", folder, "--cpu",
        "--num-workers", 0, "--log-format", "simple",
        "--best-checkpoint-metric", "sequences_right", "--maximize-best-checkpoint-metric", *more,
    ]  # fmt: skip


def remembering(folder: Path, *more: object, plugins: Path = PLUGINS) -> list[object]:
    return options(
        folder, "--algorithm", "rare_symbols", "--symbols", SYMBOLS, "--examples", 320,
        "--arch", "extended_neural_gpu_memory", "--share-all-embeddings", "--memory-size", 64,
        "--memory-key-dim", 8, "--memory-neighbors", 4, "--memory-gold-updates", 10, *more,
        plugins=plugins,
    )  # fmt: skip


def taught_options(plugins: Path, folder: Path) -> list[object]:
    return remembering(
        folder, "--max-update", 20, "--save-interval-updates", 10, plugins=plugins
    )  # fmt: skip


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("copy")
    more = ["--algorithm", "copy", "--arch", "extended_neural_gpu", "--max-epoch", 2]
    log = succeeded(fairseq("train", *options(folder, *more)))
    return folder / "checkpoint_last.pt", log


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rare")
    succeeded(fairseq("train", *taught_options(PLUGINS, folder)))
    return folder / "checkpoint_last.pt"


def test_copying_is_learned(learned: tuple[Path, str]) -> None:
    shares = re.findall(r"valid on 'valid'.*sequences_right ([\d.]+)", learned[1])
    assert float(shares[-1]) > 60


@pytest.mark.parametrize("beam", [1, 3])
def test_generating_agrees_with_validation(learned: tuple[Path, str], beam: int) -> None:
    done = fairseq(
        "generate", "--user-dir", PLUGINS, "--task", "algorithmic", "--algorithm", "copy",
        "--path", learned[0], "--gen-subset", "test_1", "--beam", beam,
        "--batch-size", 32, "--cpu", "--valid-batches", 5,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    lines = {
        kind: dict(re.findall(rf"^{kind}-(\d+)\t(?:\S+\t)?(.*)$", done.stdout, re.MULTILINE))
        for kind in ("T", "H")
    }
    exact = sum(lines["H"][number] == text for number, text in lines["T"].items())
    assert exact > 0.6 * len(lines["T"]) == 0.6 * 160


def tampered(path: Path, folder: Path) -> Path:
    """Return a copy of a checkpoint whose memory holds its values in other slots."""
    state = torch.load(path, weights_only=False)
    name = "decoder.reader.memory.values"
    state["model"][name] = state["model"][name].roll(1)
    torch.save(state, folder / "tampered.pt")
    return folder / "tampered.pt"


def asking(beam: int) -> list[object]:
    """Return arguments of fairseq-generate for rare symbols."""
    return [
        "--user-dir", PLUGINS, "--task", "algorithmic", "--algorithm", "rare_symbols",
        "--symbols", SYMBOLS, "--examples", 320, "--max-length", LENGTH, "--gen-subset", "test",
        "--beam", beam, "--batch-size", 16, "--cpu", "--valid-batches", 2,
    ]  # fmt: skip


@pytest.mark.parametrize("beam", [1, 3])
def test_generating_asks_the_memory(taught: Path, tmp_path: Path, beam: int) -> None:
    def scored(path: Path) -> list[str]:
        output = succeeded(fairseq("generate", *asking(beam), "--path", path))
        return re.findall(r"^H-\d+\t.*", output, re.MULTILINE)

    with_memory = scored(taught)
    assert len(with_memory) == 32
    assert scored(tampered(taught, tmp_path)) != with_memory


def test_another_function_than_that_of_the_checkpoint_is_refused(taught: Path) -> None:
    done = fairseq("generate", *asking(1), "--path", taught, "--seed", 5)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert "the checkpoint was trained on other symbols" in done.stderr.splitlines()[-1]


def test_evaluation_tells_by_length_and_draws(learned: tuple[Path, str], tmp_path: Path) -> None:
    done = verb(
        "evaluate", "algorithmic", learned[0], "--lengths", 1, 2, "--sequences", 60, "--cpu",
        "--json", "--picture", tmp_path / "p.png", "--picture-length", 3,
    )  # fmt: skip
    succeeded(done)
    shares = json.loads(done.stdout)["lengths"]
    assert shares["1"]["sequences"] > 50 and set(shares) == {"1", "2"}
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_a_memory_is_filled_and_used_for_life(taught: Path, tmp_path: Path) -> None:
    filled = tmp_path / "filled.pt"
    succeeded(verb(
        "fill", "--path", taught, "--clear", "--memory-size", 500, "--output", filled,
        "--calibrate", "valid", "--cpu",
    ))  # fmt: skip
    values = torch.load(filled, weights_only=False)["model"]["decoder.reader.memory.values"]
    assert len(values) == 500 and (values >= 0).any()
    done = verb("evaluate", "algorithmic", filled, "--rarity", "--sequences", 20, "--cpu")
    told = succeeded(done)
    assert re.search(r"^>20 +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+$", told, re.MULTILINE)


def test_a_memory_is_taken_out_and_put_back(taught: Path, tmp_path: Path) -> None:
    snapshot, restored = tmp_path / "m.safetensors", tmp_path / "restored.pt"
    other = tampered(taught, tmp_path)
    succeeded(verb("snapshot", "save", "--path", taught, "--snapshot", snapshot))
    given = ["--path", other, "--snapshot", snapshot, "--output", restored]
    succeeded(verb("snapshot", "load", *given))
    before, after = (torch.load(path, weights_only=False)["model"] for path in (taught, restored))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_two_workers_train_one_network_with_one_memory(tmp_path: Path) -> None:
    train_by_workers(*remembering(tmp_path, "--max-update", 5, plugins=watching(tmp_path)))
    assert_one_model_and_memory(tmp_path, WORKERS, updates=5)
    state = torch.load(tmp_path / "checkpoint_last.pt", weights_only=False)["model"]
    assert int(state["decoder.reader.memory.commits"]) == 5


def test_killed_training_goes_on_as_if_never_stopped(taught: Path, tmp_path: Path) -> None:
    assert_resumes(taught_options, tmp_path, taught.parent, reached=10)
