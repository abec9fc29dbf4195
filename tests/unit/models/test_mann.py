"""Networks that learn within an episode."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from fairseq.models import ARCH_MODEL_REGISTRY, MODEL_DATACLASS_REGISTRY

import fairseq_plugins  # noqa: F401  (registers everything)
from fairseq_plugins.criterions.sequence_episodes import SequenceEpisodesCriterion, showing
from fairseq_plugins.errors import InputError

ARCHS = ("mann", "ntm_oneshot", "lstm_oneshot")
SIZE, WAYS = 4, 3


def network(arch: str, label_shape: tuple[int, int] | None = (1, WAYS), **more: Any) -> Any:
    torch.manual_seed(1)
    sizes = {} if arch == "lstm_oneshot" else {"slots": 16, "width": 12, "heads": 2}
    cfg = MODEL_DATACLASS_REGISTRY[arch](**({"units": 32, "image_size": SIZE} | sizes | more))
    return ARCH_MODEL_REGISTRY[arch].build_model(cfg, SimpleNamespace(label_shape=label_shape))


def batch(episodes: int, length: int) -> dict[str, Any]:
    """Return episodes in which each class is a random picture with a little noise."""
    pictures = torch.randn(episodes, WAYS, SIZE, SIZE)
    classes = torch.randint(WAYS, (episodes, length))
    images = pictures[torch.arange(episodes).unsqueeze(1), classes]
    target = classes.unsqueeze(2)
    previous = F.pad(F.one_hot(classes, WAYS).float(), (0, 0, 1, 0))[:, :-1]
    return {
        "net_input": {"images": images + 0.05 * torch.randn_like(images), "previous": previous},
        "target": target, "classes": classes, "ntokens": classes.numel(), "nsentences": episodes,
    }  # fmt: skip


def accuracy(log: dict, k: int) -> float:
    return log[f"right_{k}"] / log[f"shown_{k}"]


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("label_shape", [(1, WAYS), (5, 5)])
def test_logits_are_of_every_position_and_symbol(arch: str, label_shape: tuple) -> None:
    labels = label_shape[0] * label_shape[1]
    logits, _ = network(arch, label_shape)(torch.rand(2, 7, SIZE, SIZE), torch.rand(2, 7, labels))
    assert logits.shape == (2, 7, *label_shape)


@pytest.mark.parametrize("arch", ARCHS)
def test_an_answer_depends_on_the_past_only(arch: str) -> None:
    model = network(arch)
    images, previous = torch.rand(1, 6, SIZE, SIZE), torch.rand(1, 6, WAYS)
    before, _ = model(images, previous)
    images[:, 4:], previous[:, 4:] = 0.5, 0.5
    after, _ = model(images, previous)
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.equal(before[:, 4:], after[:, 4:])


@pytest.mark.parametrize("arch", ARCHS)
def test_episodes_do_not_see_each_other(arch: str) -> None:
    model = network(arch)
    images, previous = torch.rand(3, 6, SIZE, SIZE), torch.rand(3, 6, WAYS)
    together, _ = model(images, previous)
    alone = torch.cat([model(i[None], p[None])[0] for i, p in zip(images, previous, strict=True)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_the_controller_is_an_lstm_that_remembers_at_first() -> None:
    controller = network("lstm_oneshot").controller
    lstm = torch.nn.LSTM(SIZE**2 + WAYS, 32, batch_first=True)

    def in_torchs_order(weights: torch.Tensor) -> torch.Tensor:
        enter, keep, leave, new = weights.chunk(4)
        return torch.cat([enter, keep, new, leave])

    with torch.no_grad():
        for own, theirs in ((controller.of_input.weight, lstm.weight_ih_l0),
                            (controller.of_state.weight, lstm.weight_hh_l0),
                            (controller.of_input.bias, lstm.bias_ih_l0)):  # fmt: skip
            theirs.copy_(in_torchs_order(own))
        lstm.bias_hh_l0.zero_()
    inputs = torch.randn(3, 7, SIZE**2 + WAYS)
    torch.testing.assert_close(controller(inputs), controller.answer(lstm(inputs)[0]))
    assert lstm.bias_ih_l0[32:64].tolist() == [1.0] * 32  # of the gate that keeps


@pytest.mark.parametrize("arch", ARCHS)
def test_every_parameter_learns(arch: str) -> None:
    model, sample = network(arch), batch(4, 6)
    SequenceEpisodesCriterion(None)(model, sample)[0].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_mann_learns_to_remember_what_it_was_told_once() -> None:
    model, criterion = network("mann"), SequenceEpisodesCriterion(None)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(400):
        optimizer.zero_grad()
        loss, size, _ = criterion(model, batch(64, 8))
        (loss / size).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    with torch.no_grad():
        _, _, log = criterion(model, batch(500, 12))
    assert accuracy(log, 2) > 0.65 and accuracy(log, 4) > 0.75  # chance is 0.33


def test_showings_are_counted() -> None:
    classes = torch.tensor([[2, 0, 2, 2, 1, 0]])
    assert showing(classes).tolist() == [[1, 1, 2, 3, 1, 2]]


def test_accuracy_is_by_showing() -> None:
    sample = batch(8, 10)

    def knows(images: torch.Tensor, previous: torch.Tensor) -> tuple[torch.Tensor, dict]:
        """Right from the second showing on, as if it remembered."""
        right = F.one_hot(sample["target"], WAYS).float()
        return torch.where((showing(sample["classes"]) > 1)[..., None, None], right, -right), {}

    _, _, log = SequenceEpisodesCriterion(None)(knows, sample)
    assert accuracy(log, 1) == 0 and accuracy(log, 2) == accuracy(log, 3) == 1


def test_a_label_is_right_if_all_of_its_letters_are() -> None:
    target = torch.zeros(1, 2, 5, dtype=torch.int64)
    logits = F.one_hot(target, 5).float()
    logits[0, 1, 4] = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0])  # the last letter is wrong
    sample = {"net_input": {}, "target": target, "classes": torch.tensor([[0, 1]]),
              "ntokens": 2, "nsentences": 1}  # fmt: skip
    _, _, log = SequenceEpisodesCriterion(None)(lambda: (logits, {}), sample)
    assert (log["shown_1"], log["right_1"]) == (2, 1)


@pytest.mark.parametrize("arch", ARCHS)
def test_batches_of_classes_are_not_for_them(arch: str) -> None:
    with pytest.raises(InputError, match="use --episodes sequences"):
        network(arch, None)


def test_impossible_sizes_are_an_error() -> None:
    with pytest.raises(InputError, match="20 heads cannot each have a place in 16 slots"):
        network("mann", heads=20)
