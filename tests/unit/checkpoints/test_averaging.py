"""Averages of checkpoints."""

from pathlib import Path
from typing import Any

import pytest
import torch

from fairseq_plugins.checkpoints.averaging import average_checkpoints
from fairseq_plugins.checkpoints.files import read_checkpoint, write_checkpoint
from fairseq_plugins.errors import InputError
from fairseq_plugins.patches.averages import not_averaged


@pytest.fixture
def paths(trained: Any) -> list[Path]:
    """Return checkpoints after 20 and 10 updates: the newest is not the last one given."""
    return [trained.last, trained.folder / "checkpoint_1_10.pt"]


def test_weights_are_averaged_and_memory_is_the_newest(paths: list[Path]) -> None:
    new, old = (read_checkpoint(path)["model"] for path in paths)
    average = average_checkpoints(paths)["model"]
    assert list(average) == list(new)
    for name in new:
        if name in not_averaged(new):
            expected = new[name]
        else:
            expected = ((new[name].double() + old[name].double()) / 2).float()
        assert torch.equal(average[name], expected), name


def test_sums_are_not_rounded(trained: Any, tmp_path: Path) -> None:
    """In float32, 1 + 2**-24 is 1."""
    state, name = read_checkpoint(trained.last), "decoder.output.bias"
    paths = [tmp_path / f"{number}.pt" for number in range(3)]
    for path, value in zip(paths, (1.0, 2**-24, 2**-24), strict=True):
        state["model"][name].fill_(value)
        write_checkpoint(state, path)
    average = average_checkpoints(paths)["model"][name]
    assert torch.equal(average, torch.full_like(average, (1 + 2**-23) / 3))


def test_order_does_not_matter(paths: list[Path]) -> None:
    one, other = average_checkpoints(paths), average_checkpoints(paths[::-1])
    assert all(torch.equal(one["model"][name], other["model"][name]) for name in one["model"])
    assert one["optimizer_history"] == other["optimizer_history"]


def test_average_of_one_checkpoint_is_itself(trained: Any) -> None:
    state = read_checkpoint(trained.last)
    average = average_checkpoints([trained.last])
    assert all(torch.equal(average["model"][name], state["model"][name]) for name in state["model"])
    assert average["cfg"] == state["cfg"]


def test_optimizer_and_moving_average_are_left_out(paths: list[Path]) -> None:
    average = average_checkpoints(paths)
    assert "last_optimizer_state" not in average
    assert "ema" not in average["extra_state"]
    assert "train_iterator" in average["extra_state"]


def test_shared_weights_stay_shared(paths: list[Path], tmp_path: Path) -> None:
    model = average_checkpoints(paths)["model"]
    embedding = model["decoder.output.weight"].data_ptr()
    assert model["decoder.layers.embedding.weight"].data_ptr() == embedding
    assert model["encoder.layers.embedding.weight"].data_ptr() == embedding


def test_moving_averages_are_averaged_on_demand(paths: list[Path]) -> None:
    new, old = (read_checkpoint(path)["extra_state"]["ema"] for path in paths)
    average = average_checkpoints(paths, ema=True)["model"]
    name = "decoder.output.bias"
    assert torch.equal(average[name], ((new[name].double() + old[name].double()) / 2).float())
    keys = next(name for name in new if name.endswith("memory.keys"))
    assert torch.equal(average[keys], read_checkpoint(paths[0])["model"][keys])


def test_missing_moving_average_is_named(trained: Any, tmp_path: Path) -> None:
    path = tmp_path / "plain.pt"
    write_checkpoint(average_checkpoints([trained.last]), path)
    with pytest.raises(InputError, match=r"plain\.pt: holds no moving average"):
        average_checkpoints([path], ema=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: model.pop("decoder.output.bias"), r"only .*last\.pt has decoder\.output"),
        (lambda model: model.update(new=torch.zeros(1)), r"only .*other\.pt has new"),
        (
            lambda model: model.update({"decoder.output.bias": torch.zeros(3)}),
            r"decoder\.output\.bias is \[3\] here and \[\d+\] there",
        ),
    ],
)
def test_another_model_is_named_with_what_differs(
    trained: Any, tmp_path: Path, change: Any, message: str
) -> None:
    state = read_checkpoint(trained.last)
    change(state["model"])
    path = tmp_path / "other.pt"
    write_checkpoint(state, path)
    with pytest.raises(InputError, match=r"other\.pt: not the same model as.*" + message):
        average_checkpoints([trained.last, path])
