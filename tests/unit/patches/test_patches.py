"""The protection of pickles, errors in one line, and moving averages of models with a memory."""

import argparse
import io
import os
import pickle
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from fairseq import checkpoint_utils
from fairseq.data import Dictionary, data_utils
from fairseq.dataclass.configs import FairseqConfig
from fairseq.distributed import LegacyDistributedDataParallel
from fairseq.distributed import utils as distributed_utils
from fairseq.models.ema.ema import EMA
from fairseq.trainer import Trainer
from fairseq_cli import train, validate
from omegaconf import OmegaConf
from torch import nn

from fairseq_plugins.errors import InputError, one_line_errors
from fairseq_plugins.memory import KeyValueMemory
from fairseq_plugins.patches import checkpoints, gradients
from fairseq_plugins.patches.averages import not_averaged
from fairseq_plugins.patches.checkpoints import HARMLESS, misfit
from fairseq_plugins.patches.dictionaries import RemembersDictionaries
from fairseq_plugins.patches.trainings import forget_earlier_trainings
from tests.tiny_models import translation_task

# --- Trainings of one process ---------------------------------------------------------------------


def test_a_training_knows_nothing_of_earlier_ones() -> None:
    save, stop = checkpoint_utils.save_checkpoint, train.should_stop_early
    vars(save).update(best=1.0)
    vars(stop).update(best=1.0, num_runs=3)
    forget_earlier_trainings()
    assert not vars(save).keys() & {"best"}
    assert not vars(stop).keys() & {"best", "num_runs"}
    forget_earlier_trainings()  # nothing to forget


# --- Gradients of several processes ---------------------------------------------------------------


def test_gradients_of_any_layout_are_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    convolution = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    for parameter in convolution.parameters():
        parameter.grad = torch.randn_like(parameter)
    assert convolution.weight.grad is not None
    before = convolution.weight.grad.clone()
    flattened: list[torch.Tensor] = []

    def flatten(self: Any) -> None:
        flattened.extend(parameter.grad.view(-1) for parameter in self.module.parameters())

    monkeypatch.setattr(gradients, "_all_reduce_grads", flatten)
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        flatten(SimpleNamespace(module=convolution))
    flattened.clear()
    LegacyDistributedDataParallel.all_reduce_grads(SimpleNamespace(module=convolution))
    assert torch.equal(flattened[0].view_as(before), before)


# --- The pickle guard -----------------------------------------------------------------------------


def samples(trained: Any) -> list[bytes]:
    """Return what passes through torch.load: a checkpoint, an old one, one between two workers."""
    state = torch.load(trained.last, weights_only=True)
    old = state | {"cfg": {"model": argparse.Namespace(arch="lstm")}}
    parsed = checkpoint_utils.load_checkpoint_to_cpu(str(trained.last))
    sent = distributed_utils._split_tensors_from_obj(parsed, [])
    counts = {"extra_state": {"metrics": np.zeros(4)}}  # of --eval-bleu, summed over workers
    buffers = []
    for content in (state, old, sent, counts):
        buffer = io.BytesIO()
        torch.save(content, buffer)
        buffers.append(buffer.getvalue())
    return buffers


def loads_with(allowed: list[Any], buffers: list[bytes]) -> bool:
    try:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(allowed)
        for buffer in buffers:
            torch.load(io.BytesIO(buffer))
    except pickle.UnpicklingError:
        return False
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(HARMLESS)
    return True


def test_allow_list_suffices_and_nothing_on_it_is_superfluous(trained: Any) -> None:
    buffers = samples(trained)
    superfluous = [
        item
        for item in HARMLESS
        if loads_with([other for other in HARMLESS if other is not item], buffers)
    ]
    assert loads_with(HARMLESS, buffers)
    assert superfluous == []


class Malicious:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple:
        return os.system, (self.command,)


def test_object_of_an_unknown_class_is_refused_too(trained: Any, tmp_path: Path) -> None:
    state = torch.load(trained.last, weights_only=True)
    torch.save(state | {"cfg": Path("x")}, tmp_path / "strange.pt")
    with pytest.raises(InputError, match=r"strange\.pt: refused.*pathlib"):
        checkpoint_utils.load_checkpoint_to_cpu(str(tmp_path / "strange.pt"))


@pytest.mark.parametrize("load", ["load_checkpoint_to_cpu", "load_ema_from_checkpoint"])
@pytest.mark.parametrize("place", ["model", "extra_state", "cfg"])
def test_malicious_checkpoint_is_refused_and_does_nothing(
    trained: Any, tmp_path: Path, load: str, place: str
) -> None:
    state = torch.load(trained.last, weights_only=True)
    state[place]["evil"] = Malicious(f"touch {tmp_path}/pwned")
    torch.save(state, tmp_path / "evil.pt")
    with pytest.raises(InputError, match=r"evil\.pt: refused.*system") as caught:
        getattr(checkpoint_utils, load)(str(tmp_path / "evil.pt"))
    assert not (tmp_path / "pwned").exists()
    assert "\n" not in str(caught.value)


def test_guard_stays_on() -> None:
    assert "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD" not in os.environ
    buffer = io.BytesIO()
    torch.save(Malicious("true"), buffer)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(io.BytesIO(buffer.getvalue()))


# --- Errors of one line ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cut", "empty", "text", "foreign", "number"])
def test_broken_checkpoint_is_named_in_one_line(trained: Any, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "broken.pt"
    whole = trained.last.read_bytes()
    foreign, number = io.BytesIO(), io.BytesIO()
    torch.save({"weights": torch.zeros(2)}, foreign)
    torch.save(3, number)
    path.write_bytes(
        {
            "cut": whole[: len(whole) // 2],
            "empty": b"",
            "text": b"Hello, world\n",
            "foreign": foreign.getvalue(),
            "number": number.getvalue(),
        }[kind]
    )
    with pytest.raises(InputError, match=r"broken\.pt: damaged, cut short, or not") as caught:
        checkpoint_utils.load_checkpoint_to_cpu(str(path))
    assert "\n" not in str(caught.value)


def test_checkpoint_without_moving_average_is_named(trained: Any, tmp_path: Path) -> None:
    state = torch.load(trained.last, weights_only=True)
    del state["extra_state"]["ema"]
    torch.save(state, tmp_path / "plain.pt")
    with pytest.raises(InputError, match=r"plain\.pt: holds no moving average"):
        checkpoint_utils.load_ema_from_checkpoint(str(tmp_path / "plain.pt"))


@pytest.mark.parametrize(
    ("knows_recall", "overrides", "expected"),
    [
        (False, None, "auto"),  # there was no choice
        (True, None, "exact"),
        (False, {"memory_search": "lsh"}, "lsh"),
    ],
)
def test_an_old_checkpoint_is_searched_as_is_usual_now(
    trained: Any, tmp_path: Path, knows_recall: bool, overrides: dict | None, expected: str
) -> None:
    state = torch.load(trained.last, weights_only=True)
    model = state["cfg"]["model"]
    model["memory_search"] = "exact"
    if not knows_recall:
        del model["memory_recall"]
    torch.save(state, tmp_path / "old.pt")
    cfg = checkpoint_utils.load_checkpoint_to_cpu(str(tmp_path / "old.pt"), overrides)["cfg"]
    assert cfg.model.memory_search == expected


def test_options_that_are_newer_than_a_checkpoint_can_be_overridden(
    trained: Any, tmp_path: Path
) -> None:
    state = torch.load(trained.last, weights_only=True)
    for name in ("memory_recall", "memory_sure"):
        del state["cfg"]["model"][name]
    torch.save(state, tmp_path / "old.pt")
    overrides = {"memory_sure": 0.9, "nosuch": 1}
    cfg = checkpoint_utils.load_checkpoint_to_cpu(str(tmp_path / "old.pt"), overrides)["cfg"]
    assert cfg.model.memory_sure == 0.9
    assert "nosuch" not in cfg.model and "memory_recall" not in cfg.model
    for name, value in (("memory_sure", 2), ("memory_recall", "high"), ("memory_search", "nosuch")):
        message = f"--{name.replace('_', '-')} {value}: must be"
        with pytest.raises(InputError, match=message):
            checkpoint_utils.load_checkpoint_to_cpu(str(tmp_path / "old.pt"), {name: value})


class Toy(nn.Module):
    """A model with a vocabulary and a memory."""

    def __init__(self, words: int = 5, slots: int = 4, key_dim: int = 3) -> None:
        super().__init__()
        self.dictionary = range(words)
        self.embedding = nn.Embedding(words, 2)
        self.norm = nn.BatchNorm1d(2)
        self.reader = nn.ModuleDict({"memory": KeyValueMemory(slots, key_dim, words)})


def test_misfit_names_the_vocabulary() -> None:
    message = misfit(Toy(words=5), Toy(words=7).state_dict())
    assert "vocabulary of 7 entries, but the data has 5" in message


def test_misfit_names_the_memory_and_the_remedy() -> None:
    message = misfit(Toy(slots=4, key_dim=3), Toy(slots=9, key_dim=2).state_dict())
    assert "9 slots of width 2, but the configuration has 4 of 3" in message
    assert "--memory-size 9 --memory-key-dim 2" in message


def test_misfit_names_tensors_of_another_architecture() -> None:
    model = Toy()
    state = model.state_dict()
    del state["embedding.weight"]
    state["other"] = torch.zeros(1)
    message = misfit(model, state)
    assert "embedding.weight is only here" in message and "other is only there" in message


def test_model_refuses_weights_of_another_size_and_names_the_file(trained: Any) -> None:
    state = checkpoint_utils.load_checkpoint_to_cpu(str(trained.last))
    keys = next(name for name in state["model"] if name.endswith("memory.keys"))
    state["model"][keys] = torch.zeros(7, 8)
    with pytest.raises(InputError, match=r"checkpoint_last\.pt: its memory has 7 slots of width 8"):
        load(trained, state)


def load(trained: Any, state: dict) -> None:
    checkpoint_utils.load_model_ensemble_and_task([str(trained.last)], state=state)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Any:
    """Return what a program shows that ends with an error."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    one_line_errors()

    def show(error: BaseException) -> str:
        sys.excepthook(type(error), error, error.__traceback__)
        return capsys.readouterr().err

    return show


def raised(inner: Exception, outer: Exception, declared: bool = False) -> Exception:
    """Return the outer error, raised while the inner one was handled, or because of it."""
    try:
        try:
            raise inner
        except Exception as error:
            if declared:
                raise outer from error
            raise outer  # noqa: B904
    except Exception as error:
        return error


def test_input_error_is_shown_in_one_line(shown: Any) -> None:
    assert shown(InputError("a.pt: damaged")) == "error: a.pt: damaged\n"


def test_input_error_is_shown_as_the_declared_cause_of_another(shown: Any) -> None:
    error = raised(InputError("a.pt: damaged"), RuntimeError("x"), declared=True)
    assert shown(error) == "error: a.pt: damaged\n"


def test_a_crash_while_an_input_error_is_handled_keeps_its_traceback(shown: Any) -> None:
    message = shown(raised(InputError("a.pt: damaged"), KeyError("crash")))
    assert "Traceback" in message and message.endswith("KeyError: 'crash'\n")


def test_too_little_memory_is_shown_in_one_line(shown: Any) -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert re.fullmatch(r"error: not enough memory \(.*\); use smaller .*\n", shown(caught.value))
    assert shown(MemoryError()).startswith("error: not enough memory")


def test_what_a_program_of_fairseq_asserts_of_its_arguments_is_one_line(shown: Any) -> None:
    with pytest.raises(AssertionError) as caught:
        validate.main(OmegaConf.structured(FairseqConfig()))
    assert shown(caught.value).startswith("error: Must specify batch size")


def test_what_the_library_of_fairseq_refuses_is_one_line(shown: Any) -> None:
    with pytest.raises(Exception, match="unknown mask") as caught:
        data_utils.compute_mask_indices((1, 9), None, 0.5, 1, mask_type="nosuch")
    assert shown(caught.value) == "error: unknown mask selection nosuch\n"


def test_an_error_that_fairseq_wraps_keeps_its_traceback(shown: Any) -> None:
    error = raised(KeyError("x"), Exception("Cannot load model parameters from checkpoint"))
    assert "Traceback" in shown(error)


def test_what_others_assert_keeps_its_traceback(shown: Any) -> None:
    with pytest.raises(AssertionError) as caught:
        torch.testing.assert_close(torch.zeros(1), torch.ones(1))
    assert "Traceback" in shown(caught.value)


# --- Checkpoints that a training cannot go on from ------------------------------------------------


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (raised(InputError("a.pt: its memory is smaller"), Exception("Cannot load")), "a.pt: its"),
        (ValueError("loaded state dict contains a parameter group that doesn't match the size"),
         "b.pt: was trained with other parameters, .* --share-all-embeddings .*--save-dir"),
        (AssertionError("Criterion does not match; a vs b"), "b.pt: Criterion does not match"),
    ],
)  # fmt: skip
def test_what_does_not_fit_a_training_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def fails(*_: Any) -> None:
        raise error

    monkeypatch.setattr(checkpoints, "_load_into_trainer", fails)
    with pytest.raises(InputError, match=message):
        Trainer.load_checkpoint(SimpleNamespace(), "b.pt")


def test_missing_file_is_shown_in_one_line(shown: Any, tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:
        (tmp_path / "no.pt").open()
    assert re.fullmatch(r"error: .*no\.pt: No such file or directory\n", shown(caught.value))
    assert shown(OSError("Model file not found: no.pt")) == "error: Model file not found: no.pt\n"


def test_mistakes_of_ours_keep_their_traceback(shown: Any) -> None:
    assert "Traceback" in shown(raised(ValueError("y"), KeyError("x"), declared=True))


# --- Dictionaries ---------------------------------------------------------------------------------


class Task:
    """What fairseq keeps of a task in a checkpoint."""

    def state_dict(self) -> dict:
        return {"epoch": 1}

    def load_state_dict(self, state: dict) -> None:
        self.loaded = state


class TranslationTask(RemembersDictionaries, Task):
    def __init__(self, words: str) -> None:
        self.cfg = SimpleNamespace(source_lang="xx", target_lang="yy")
        self.source_dictionary = self.target_dictionary = Dictionary()
        for word in words.split():
            self.source_dictionary.add_symbol(word)


def test_same_dictionary_is_accepted_and_the_rest_passed_on() -> None:
    task = TranslationTask("a b")
    task.load_state_dict(TranslationTask("a b").state_dict())
    assert task.loaded == {"epoch": 1}


def test_dictionary_of_the_same_size_with_other_words_is_refused() -> None:
    with pytest.raises(InputError, match=r"dict\.xx\.txt"):
        TranslationTask("a b").load_state_dict(TranslationTask("a c").state_dict())


@pytest.mark.parametrize(("sizes", "name"), [((20, 21), "dict.yy"), ((21, 20), "dict.xx")])
def test_each_dictionary_is_compared_with_its_own(sizes: tuple[int, int], name: str) -> None:
    with pytest.raises(InputError, match=rf"{name}\.txt of the data is not the dictionary"):
        translation_task(*sizes).load_state_dict(translation_task(20, 20).state_dict())


def test_dictionary_is_checked_on_resume() -> None:
    saved = TranslationTask("a b").get_checkpoint_dict()["TranslationTask"]
    with pytest.raises(InputError):
        TranslationTask("b a").set_checkpoint_dict(saved)


def test_checkpoint_from_before_dictionaries_were_noted_is_accepted() -> None:
    task = TranslationTask("a b")
    task.load_state_dict({"epoch": 1})
    assert task.loaded == {"epoch": 1}


# --- Moving averages ------------------------------------------------------------------------------

EMA_CONFIG = {
    "ema_decay": 0.75,
    "ema_seed_model": None,
    "ema_update_freq": 1,
    "ema_start_update": 0,
}


@pytest.mark.parametrize("in_float32", [False, True])
def test_moving_average_averages_weights_and_keeps_the_newest_memory(in_float32: bool) -> None:
    model = Toy()
    nn.init.zeros_(model.embedding.weight)
    ema = EMA(model, SimpleNamespace(ema_fp32=in_float32, **EMA_CONFIG))
    for _ in range(2):
        nn.init.ones_(model.embedding.weight)
        model.reader["memory"].write(torch.rand(3, 3), torch.tensor([1, 2, 3]))
        model.norm(torch.rand(4, 2))
        ema.step(model)
    average = ema.get_model().state_dict()
    assert torch.allclose(average["embedding.weight"], torch.tensor(1 - 0.75**2))
    assert 0 < average["norm.running_mean"].mean() < model.norm.running_mean.mean()
    for name in not_averaged(model.state_dict()):
        assert torch.equal(average[name], model.state_dict()[name]), name


@pytest.mark.parametrize("in_float32", [False, True])
def test_moving_average_copies_no_memory(in_float32: bool) -> None:
    model = Toy()
    ema = EMA(model, SimpleNamespace(ema_fp32=in_float32, **EMA_CONFIG))
    memory, average = model.reader["memory"], ema.get_model().reader["memory"]
    memory.write(torch.rand(3, 3), torch.tensor([1, 2, 3]))
    before = memory.keys._version
    ema.step(model)
    assert memory.keys._version == before  # nothing was copied into it
    stored = [ema.get_model().state_dict(), *([ema.fp32_params] if in_float32 else [])]
    for name, buffer in memory.named_buffers():
        for state in stored:
            assert state[f"reader.memory.{name}"].data_ptr() == buffer.data_ptr()
    assert len(average) == 3 and average.query(memory.keys[:1]).slots[0, 0] == 0


def test_not_averaged_are_memories_and_counters_only() -> None:
    buffers = {f"reader.memory.{name}" for name, _ in KeyValueMemory(1, 1, 1).named_buffers()}
    assert not_averaged(Toy().state_dict()) == buffers | {"norm.num_batches_tracked"}


def test_training_with_moving_average_stores_both_models(trained: Any) -> None:
    state = torch.load(trained.last, weights_only=True)
    weights, average = state["model"], state["extra_state"]["ema"]
    kept = not_averaged(weights)
    assert all(torch.equal(weights[name], average[name]) for name in kept)
    assert not any(
        torch.equal(weights[name], average[name]) for name in weights if name not in kept
    )


# --- Noise ----------------------------------------------------------------------------------------


def test_training_shows_no_warning(trained: Any) -> None:
    assert "Warning" not in trained.log


def test_numpy_arrays_are_in_the_checkpoint_that_the_guard_lets_through(trained: Any) -> None:
    """Otherwise the tests above would not cover what --eval-bleu logs."""
    metrics = torch.load(trained.last, weights_only=True)["extra_state"]["metrics"]
    assert any(isinstance(meter[3].get("sum"), np.ndarray) for meter in metrics["valid"])
