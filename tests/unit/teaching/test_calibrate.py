"""Fitting the gate and the temperature to a memory."""

from typing import Any

import pytest
import torch

from fairseq_plugins.errors import InputError
from fairseq_plugins.modules.memory_reader import MemoryReader
from fairseq_plugins.modules.write_policy import WritePolicy
from fairseq_plugins.teaching.calibrate import calibrate
from fairseq_plugins.teaching.fill import fill
from fairseq_plugins.teaching.loaded_checkpoint import Corpus, LoadedCheckpoint


@pytest.fixture
def filled(trained: Any) -> LoadedCheckpoint:
    loaded = LoadedCheckpoint(trained.last, Corpus(trained.data), memory_size=2000, autocast="none")
    fill(loaded, "test", WritePolicy("all", 0.5, 100, torch.zeros(0)))
    return loaded


def test_likelihood_rises_and_is_what_was_reported(filled: LoadedCheckpoint) -> None:
    first = calibrate(filled, "test")
    again = calibrate(filled, "test")
    assert first.after < first.before
    assert again.before == pytest.approx(first.after, abs=1e-5)


def test_reported_likelihood_is_that_of_the_model(filled: LoadedCheckpoint) -> None:
    total, count = 0.0, 0
    for sample in filled.batches("valid"):
        with torch.no_grad():
            output = filled.model(**sample["net_input"])
            log_probs = filled.model.get_normalized_probs(output, log_probs=True)
        target = sample["target"]
        real = target != filled.task.target_dictionary.pad()
        total -= float(log_probs.gather(2, target.unsqueeze(2)).squeeze(2)[real].sum())
        count += int(real.sum())
    report = calibrate(filled, "valid")
    assert report.tokens == count
    assert report.before == pytest.approx(total / count, abs=1e-4)


def test_only_gate_and_temperature_change(filled: LoadedCheckpoint) -> None:
    before = {name: tensor.clone() for name, tensor in filled.model.state_dict().items()}
    calibrate(filled, "valid")
    after = filled.model.state_dict()
    changed = {n.rpartition("reader.")[2] for n in before if not torch.equal(before[n], after[n])}
    assert changed == {"log_temperature", "gate.weight", "gate.bias"}


def test_calibration_is_deterministic(trained: Any) -> None:
    def run() -> Any:
        loaded = LoadedCheckpoint(trained.last, Corpus(trained.data))
        return calibrate(loaded, "valid")

    assert run() == run()


def test_useless_memory_is_gated_out(filled: LoadedCheckpoint) -> None:
    memory = filled.memory
    memory.values.copy_(memory.values[torch.randperm(memory.size)])
    report = calibrate(filled, "valid")
    assert report.after <= report.softmax + 0.02


def test_empty_memory_cannot_be_calibrated(filled: LoadedCheckpoint) -> None:
    filled.memory.clear()
    with pytest.raises(InputError, match="the memory is empty"):
        calibrate(filled, "valid")


def test_reader_without_gate_cannot_be_calibrated(filled: LoadedCheckpoint) -> None:
    reader = next(m for m in filled.model.modules() if isinstance(m, MemoryReader))
    reader.mode = "embed"
    with pytest.raises(InputError, match="has no gate"):
        calibrate(filled, "valid")


@pytest.mark.parametrize("unseen", [0, 16, 19], ids=["state", "neighbours", "constant"])
def test_calibration_fits_what_the_gate_depends_on(filled: LoadedCheckpoint, unseen: int) -> None:
    reader = next(m for m in filled.model.modules() if isinstance(m, MemoryReader))
    assert reader.gate.in_features == 19
    reader.unseen = unseen
    before = reader.gate.weight.detach().clone()
    report = calibrate(filled, "test")
    assert report.after < report.before
    assert torch.equal(reader.gate.weight[:, :unseen], before[:, :unseen])
    assert not (reader.gate.weight[:, unseen:] == before[:, unseen:]).any()
