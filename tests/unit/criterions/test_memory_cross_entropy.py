"""The loss, what is staged in the memory, and what is logged."""

from typing import Any

import pytest
import torch
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from fairseq.logging import metrics
from torch import Tensor, nn

from fairseq_plugins.criterions.memory_cross_entropy import MemoryCrossEntropy, policy_for
from fairseq_plugins.errors import InputError
from tests.tiny_models import (
    PAIRS,
    READS,
    batch,
    criterion,
    remembering,
    tiny_model,
    translation_task,
)

PAD = translation_task().target_dictionary.pad()
TOKENS = sum(len(target) + 1 for _, target in PAIRS)


def training(model: Any) -> Any:
    """Return the model in training mode; it has no dropout, so that is the only difference."""
    return model.train()


def staged(model: Any) -> Tensor:
    """Return the words that wait for the next commit."""
    memory = model.decoder.reader.memory
    targets = [pairs.target for pairs in memory._staged]
    return torch.cat(targets) if targets else torch.empty(0, dtype=torch.int64)


def target_tokens(sample: dict) -> Tensor:
    return sample["target"][sample["target"] != PAD]


def target_log_probs(model: Any, sample: dict) -> Tensor:
    """log p(target) of what the model would translate with, [N]."""
    log_probs = model.get_normalized_probs(model(**sample["net_input"]), log_probs=True)
    of_target = log_probs.gather(2, sample["target"].unsqueeze(2)).squeeze(2)
    return of_target[sample["target"] != PAD]


# --- The loss -------------------------------------------------------------------------------------


@pytest.mark.parametrize("sentence_avg", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_without_memory_it_is_label_smoothed_cross_entropy(
    smoothing: float, sentence_avg: bool
) -> None:
    model, sample = tiny_model("gnmt"), batch()
    theirs = LabelSmoothedCrossEntropyCriterion(translation_task(), sentence_avg, smoothing)
    ours = criterion(label_smoothing=smoothing, sentence_avg=sentence_avg)
    results = []
    for loss_of in (theirs, ours):
        model.zero_grad()
        loss, size, log = loss_of(model, sample)
        loss.backward()
        gradients = [parameter.grad.clone() for parameter in model.parameters()]
        results.append((loss.detach(), size, float(log["nll_loss"]), gradients))
    torch.testing.assert_close(results[0], results[1])


def test_memory_adds_its_weighted_margin_loss() -> None:
    model, sample = remembering(memory_read="embed"), batch()
    plain = float(criterion(memory_loss_weight=0.0)(model, sample)[0].detach())
    weighted, _, log = criterion(memory_loss_weight=2.5)(model, sample)
    reading = model(**sample["net_input"])[1]["memory"]
    margin = float(reading.memory.loss(reading.query, target_tokens(sample)).sum())
    assert margin > 0
    assert log["memory_loss"] == pytest.approx(margin)
    assert float(weighted.detach()) - plain == pytest.approx(2.5 * margin, rel=1e-4)


def test_interpolation_adds_the_cross_entropy_of_the_mixture() -> None:
    model, sample = remembering(memory_read="interpolate"), batch()
    loss, _, log = criterion(memory_loss_weight=0.0)(model, sample)
    mixture = -target_log_probs(model, sample).sum()
    alone = LabelSmoothedCrossEntropyCriterion(translation_task(), False, 0.1)

    model.decoder.reader.memory.clear()  # now the mixture is the softmax itself
    softmax, _, _ = alone(model, sample)
    torch.testing.assert_close(loss, softmax + mixture)
    assert log["nll_loss"] == pytest.approx(float(mixture))


def gradients(model: Any, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True))


def test_softmax_may_learn_together_with_the_memory() -> None:
    model, sample = remembering(memory_read="interpolate"), batch()
    loss, _, _ = criterion(memory_loss_weight=0.0, softmax_alone=0.0)(model, sample)
    mixture = -target_log_probs(model, sample).sum()
    torch.testing.assert_close(loss, mixture)
    torch.testing.assert_close(gradients(model, loss), gradients(model, mixture))


@pytest.mark.parametrize("alone", [0.25, 1.0])
def test_softmax_learns_alone_as_much_as_it_is_told(alone: float) -> None:
    model, sample = remembering(memory_read="interpolate"), batch()

    def loss(share: float) -> Tensor:
        chosen = criterion(memory_loss_weight=0.0, softmax_alone=share, label_smoothing=0.0)
        return chosen(model, sample)[0]

    log_probs = torch.log_softmax(model(**sample["net_input"])[0], dim=2)
    softmax = log_probs.gather(2, sample["target"].unsqueeze(2)).squeeze(2)
    for_itself = -softmax[sample["target"] != PAD].sum()
    mixture = -target_log_probs(model, sample).sum()
    torch.testing.assert_close(loss(alone), alone * for_itself + mixture)
    output = [model.decoder.output.weight]  # only the softmax depends on it
    of_both = torch.autograd.grad(alone * for_itself + (1 - alone) * mixture, output)
    torch.testing.assert_close(torch.autograd.grad(loss(alone), output), of_both)


@pytest.mark.parametrize("read", READS)
def test_logged_nll_is_of_what_translates(read: str) -> None:
    model, sample = remembering(memory_read=read), batch()
    _, _, log = criterion()(model, sample)
    expected = -float(target_log_probs(model, sample).sum())
    assert log["nll_loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("read", READS)
def test_padding_does_not_change_the_loss(read: str) -> None:
    model = remembering(memory_read=read)
    together = float(criterion()(model, batch())[0])
    alone = sum(float(criterion()(model, batch([pair]))[0]) for pair in PAIRS)
    assert together == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("empty", [False, True])
def test_gradients_are_finite_and_reach_the_query(read: str, empty: bool) -> None:
    model, sample = training(remembering(memory_read=read)), batch()
    if empty:
        model.decoder.reader.memory.clear()
    loss, _, _ = criterion()(model, sample)
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is None or bool(torch.isfinite(parameter.grad).all()), name
    project = model.decoder.reader.project.weight.grad
    assert empty or bool(project.any())


def test_step_along_the_gradient_lowers_the_loss() -> None:
    model, sample = remembering(memory_read="both"), batch()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    before, _, _ = criterion()(model, sample)
    before.backward()
    optimizer.step()
    after, _, _ = criterion()(model, sample)
    assert float(after) < float(before)


# --- What is remembered ---------------------------------------------------------------------------


def test_all_target_tokens_are_staged_with_their_queries_in_training() -> None:
    model, sample = training(remembering()), batch()
    criterion()(model, sample)
    assert staged(model).tolist() == target_tokens(sample).tolist()
    query = model(**sample["net_input"])[1]["memory"].query.detach()
    (pairs,) = model.decoder.reader.memory._staged
    torch.testing.assert_close(pairs.query, nn.functional.normalize(query, dim=1))
    assert not pairs.query.requires_grad


def test_nothing_is_staged_in_evaluation() -> None:
    model = remembering()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    criterion()(model, batch())
    assert len(staged(model)) == 0
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("read", READS)
def test_surprise_stages_what_the_translator_gave_little(read: str) -> None:
    model, sample = training(remembering(memory_read=read)), batch()
    probabilities = target_log_probs(model, sample).detach().exp()
    threshold = float(probabilities.median())
    criterion(memory_write="surprise", memory_surprise=threshold)(model, sample)
    expected = target_tokens(sample)[probabilities < threshold]
    assert 0 < len(expected) < TOKENS
    assert staged(model).tolist() == expected.tolist()


def test_rare_stages_words_that_training_showed_less_often() -> None:
    model, sample = training(remembering()), batch()
    counts = torch.tensor(translation_task().target_dictionary.count)
    criterion(memory_write="rare", memory_rare=5)(model, sample)
    target = target_tokens(sample)
    words = target >= translation_task().target_dictionary.nspecial
    expected = target[words & (counts[target] < 5)]
    assert 0 < len(expected) < TOKENS
    assert staged(model).tolist() == expected.tolist()


@pytest.mark.parametrize("rare", [2, 1000])
def test_neither_ends_nor_unknown_words_are_rare(rare: int) -> None:
    words = translation_task().target_dictionary
    policy = policy_for(words, "rare", 0.5, rare)
    assert not policy.is_rare[: words.nspecial].any() and policy.is_rare.any()


def test_impossible_surprises_are_a_line() -> None:
    with pytest.raises(InputError, match="memory surprise must be a probability, not 2"):
        policy_for(translation_task().target_dictionary, "surprise", 2, 100)


def test_a_dictionary_without_counts_does_not_know_what_is_rare() -> None:
    task = translation_task()
    task.target_dictionary.count = [1] * len(task.target_dictionary)
    with pytest.raises(InputError, match="has no counts of its words in the training text"):
        MemoryCrossEntropy(task, 0.0, 1.0, 1.0, "rare", 0.5, 100, False)


def test_batch_without_rare_words_stages_nothing() -> None:
    model = training(remembering())
    criterion(memory_write="rare", memory_rare=1)(model, batch([([3], [15, 16])]))
    assert len(staged(model)) == 0


# --- Logging --------------------------------------------------------------------------------------

TASK_LOG = {
    "memory_commits": 1,
    "memory_written": 20,
    "memory_evicted": 5,
    "memory_fill": 0.5,
    "memory_age": 3.0,
}


def logged(*logs: dict) -> dict[str, float]:
    with metrics.aggregate(new_root=True) as aggregator:
        MemoryCrossEntropy.reduce_metrics(list(logs))
    return aggregator.get_smoothed_values()


@pytest.mark.parametrize("read", READS)
def test_logs_hold_plain_numbers_only(read: str) -> None:
    """Other types in a checkpoint would make it unloadable."""
    _, _, log = criterion()(training(remembering(memory_read=read)), batch())
    assert {type(value) for value in log.values()} <= {int, float}


def test_log_counts_right_answers_and_confidence() -> None:
    model, sample = remembering(), batch()
    _, _, log = criterion()(model, sample)
    hits = model(**sample["net_input"])[1]["memory"].hits
    assert log["memory_queries"] == TOKENS
    assert log["memory_right"] == int((hits.values[:, 0] == target_tokens(sample)).sum()) > 0
    assert log["memory_confidence"] == pytest.approx(float(hits.confidence.sum()))


def test_health_of_the_memory_is_logged_in_training() -> None:
    _, _, log = criterion()(remembering(), batch())
    values = logged(log | TASK_LOG)
    for name in ("memory_loss", "memory_hit_rate", "memory_confidence"):
        assert values[name] == pytest.approx(
            log[name.replace("hit_rate", "right")] / TOKENS, abs=1e-3
        )
    assert values["memory_fill"] == 0.5 and values["memory_age"] == 3.0
    assert values["memory_evicted"] == 0.25


def test_validation_logs_answers_but_no_writing() -> None:
    values = logged(criterion()(remembering(), batch())[2])
    assert "memory_hit_rate" in values
    assert not {"memory_fill", "memory_age", "memory_evicted"} & set(values)


def test_model_without_memory_logs_none() -> None:
    values = logged(criterion()(tiny_model("gnmt"), batch())[2])
    assert {"loss", "nll_loss", "ppl"} <= set(values)
    assert not any(name.startswith("memory") for name in values)


def test_workers_are_averaged_by_their_tokens() -> None:
    one = {"loss": 2.0, "nll_loss": 1.0, "ntokens": 1, "sample_size": 1, "memory_queries": 1,
           "memory_right": 1}  # fmt: skip
    other = {"loss": 4.0, "nll_loss": 2.0, "ntokens": 3, "sample_size": 3, "memory_queries": 3,
             "memory_right": 0}  # fmt: skip
    values = logged(one | TASK_LOG, other | TASK_LOG)
    assert values["loss"] == pytest.approx(6 / 4 / 0.6931, abs=1e-3)
    assert values["ppl"] == pytest.approx(2 ** (3 / 4 / 0.6931), abs=1e-2)
    assert values["memory_hit_rate"] == 0.25
    assert values["memory_fill"] == 0.5
