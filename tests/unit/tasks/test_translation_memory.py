"""The effect of a training step on the memory, and the sentences of a batch."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

from fairseq_plugins import autocast
from fairseq_plugins.errors import InputError
from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.memory import key_value_memory as memory_module
from fairseq_plugins.models.gnmt import GNMTTinyConfig
from tests.tiny_models import PAIRS, batch, criterion, dataset, tiny_model, translation_task

TOKENS = sum(len(target) + 1 for _, target in PAIRS)


class NoOptimizer:
    """What fairseq's train_step asks of an optimizer."""

    def backward(self, loss: Tensor) -> None:
        loss.backward()


def step(task: Any, model: Any, ignore_grad: bool = False) -> tuple[Tensor, int, dict]:
    return task.train_step(batch(), model, criterion(), NoOptimizer(), 0, ignore_grad)


def memory_of(model: Any) -> KeyValueMemory:
    return model.decoder.reader.memory


# --- Commits --------------------------------------------------------------------------------------


def test_training_step_remembers_the_batch_after_its_backward_pass() -> None:
    model = tiny_model("gnmt_memory")
    seen: list[int] = []
    model.decoder.reader.project.weight.register_hook(
        lambda gradient: seen.append(len(memory_of(model)))
    )
    step(translation_task(), model)
    assert seen == [0]  # while gradients flow, the memory is as it was when it was asked
    assert len(memory_of(model)) == TOKENS


def test_every_step_is_one_commit() -> None:
    task, model = translation_task(), tiny_model("gnmt_memory")
    for count in (1, 2, 3):
        step(task, model)
        assert int(memory_of(model).commits) == count


def test_validation_commits_nothing() -> None:
    model = tiny_model("gnmt_memory")
    translation_task().valid_step(batch(), model, criterion())
    assert int(memory_of(model).commits) == 0 and len(memory_of(model)) == 0


def test_dummy_batch_teaches_nothing_but_takes_part_in_the_commit() -> None:
    model = tiny_model("gnmt_memory")
    loss, _, log = step(translation_task(), model, ignore_grad=True)
    assert float(loss) == 0.0
    assert len(memory_of(model)) == 0 and int(memory_of(model).commits) == 1
    assert log["memory_written"] == 0


def test_a_batch_for_which_memory_ran_out_is_not_remembered() -> None:
    model = tiny_model("gnmt_memory")

    def run_out(_: Tensor) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    handle = model.decoder.reader.project.weight.register_hook(run_out)
    with pytest.raises(torch.OutOfMemoryError):
        step(translation_task(), model)
    assert int(memory_of(model).commits) == 1  # other workers do not wait for it
    handle.remove()
    step(translation_task(), model)
    assert len(memory_of(model)) == TOKENS


def test_dummy_batch_calls_the_collective(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def gather(*tensors: Tensor) -> tuple[Tensor, ...]:
        calls.append(len(tensors[0]))
        return tensors

    monkeypatch.setattr(memory_module, "gather_rows", gather)
    step(translation_task(), tiny_model("gnmt_memory"), ignore_grad=True)
    step(translation_task(), tiny_model("gnmt_memory"))
    assert calls == [0, TOKENS]


def test_step_reports_the_health_of_the_memory() -> None:
    task, model = translation_task(), tiny_model("gnmt_memory")
    memory = memory_of(model)
    _, _, log = step(task, model)
    assert log["memory_commits"] == 1 and log["memory_written"] == TOKENS
    assert log["memory_fill"] == TOKENS / memory.size and log["memory_evicted"] == 0
    assert log["memory_age"] == 0.0
    _, _, log = step(task, model)
    assert log["memory_age"] == pytest.approx(float(memory.ages[memory.values >= 0].float().mean()))


def test_report_counts_what_a_full_memory_forgot() -> None:
    task, model = translation_task(), tiny_model("gnmt_memory", memory_size=TOKENS)
    memory = memory_of(model)
    memory.write(torch.randn(TOKENS, memory.key_dim), torch.full((TOKENS,), 3))  # never a target
    _, _, log = step(task, model)
    assert log["memory_evicted"] == log["memory_written"] == TOKENS
    assert log["memory_fill"] == 1.0


def test_logs_hold_plain_numbers_only() -> None:
    _, _, log = step(translation_task(), tiny_model("gnmt_memory"))
    assert {type(value) for value in log.values()} <= {int, float}


def test_model_without_memory_trains_as_with_the_plain_task() -> None:
    model = tiny_model("gnmt")
    loss, size, log = step(translation_task(), model)
    assert float(loss) > 0 and size == TOKENS
    assert not any(name.startswith("memory") for name in log)
    assert model.decoder.output.weight.grad is not None


# --- Number format --------------------------------------------------------------------------------


def logits_dtype(task: Any, run: str) -> torch.dtype:
    model = tiny_model("gnmt_memory")
    seen: list[torch.dtype] = []
    model.decoder.output.register_forward_hook(lambda *call: seen.append(call[2].dtype))
    if run == "train":
        step(task, model)
        assert {parameter.grad.dtype for parameter in model.parameters()} == {torch.float32}
    else:
        task.valid_step(batch(), model, criterion())
    return seen[0]


def test_the_fastest_native_format_is_the_default_of_training_only() -> None:
    task = translation_task()
    assert logits_dtype(task, "train") == getattr(torch, autocast.number_format("auto", "cpu"))
    assert logits_dtype(task, "valid") == torch.float32


def test_float32_can_be_chosen() -> None:
    assert logits_dtype(translation_task(autocast="none"), "train") == torch.float32


def test_bfloat16_by_name_is_refused_before_a_model_is_built_to_be_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(autocast, "native_bfloat16", lambda device: False)
    task = translation_task(autocast="bfloat16")
    limits = {"max_source_positions": 9, "max_target_positions": 9}
    cfg = OmegaConf.structured(GNMTTinyConfig(_name="gnmt_tiny", **limits))
    with pytest.raises(InputError, match="--autocast bfloat16: this machine's CPU"):
        task.build_model(cfg)
    assert task.build_model(cfg, from_checkpoint=True)  # which others have trained


# --- Batches --------------------------------------------------------------------------------------


@pytest.mark.parametrize("multiple", [1, 8])
@pytest.mark.parametrize("limits", [{"max_sentences": 3}, {"max_tokens": 25}, {}])
def test_no_sentence_is_dropped_to_round_a_batch(limits: dict, multiple: int) -> None:
    data = dataset(PAIRS * 3)
    iterator = translation_task().get_batch_iterator(
        data, required_batch_size_multiple=multiple, **limits
    )
    batches = list(iterator.next_epoch_itr(shuffle=False))
    assert sorted(number for sample in batches for number in sample["id"].tolist()) == list(
        range(len(data))
    )
    if limits == {"max_sentences": 3}:
        assert [sample["nsentences"] for sample in batches] == [3] * 5


def epochs(start: int, count: int) -> list[list[list[int]]]:
    """Return the sentences of every batch in so many epochs."""
    iterator = translation_task().get_batch_iterator(
        dataset(PAIRS * 8), max_sentences=3, epoch=start, seed=5
    )
    return [[sample["id"].tolist() for sample in iterator.next_epoch_itr()] for _ in range(count)]


def test_training_that_starts_in_a_later_epoch_sees_the_same_batches() -> None:
    whole = epochs(1, 4)
    assert epochs(3, 2) == whole[2:]
    assert whole[0] != whole[1]  # in another order


def test_iterator_in_use_goes_on_with_its_epochs() -> None:
    task, data = translation_task(), dataset(PAIRS * 8)
    task.datasets["train"] = data
    iterator = task.get_batch_iterator(data, max_sentences=3)
    for epoch in (1, 2, 3):
        list(iterator.next_epoch_itr())
        assert iterator.epoch == epoch
        assert task.get_batch_iterator(data, epoch=iterator.next_epoch_idx) is iterator


def test_a_model_may_change_gradients_before_an_update_and_parameters_after_it() -> None:
    calls: list[object] = []
    model = SimpleNamespace(
        before_optimizer_step=lambda number: calls.append(("before", number)),
        after_optimizer_step=lambda number: calls.append(("after", number)),
    )
    optimizer = SimpleNamespace(step=lambda: calls.append("step"))
    translation_task().optimizer_step(optimizer, model, 3)
    translation_task().optimizer_step(optimizer, SimpleNamespace(), 3)
    assert calls == [("before", 3), "step", ("after", 3), "step"]
