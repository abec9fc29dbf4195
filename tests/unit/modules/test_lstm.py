"""LSTM layers against plain loops over single sentences, and dropout."""

import pytest
import torch
from torch import Tensor, nn

from fairseq_plugins.modules.lstm import (
    BidirectionalLSTM,
    Dropout,
    LSTMStack,
    reversal,
    take_time,
)
from fairseq_plugins.number_formats import native_bfloat16

LENGTHS = [5, 1, 3, 4]
NO_DROPOUT = Dropout(0.0)


def lstm_loop(layer: nn.LSTM, x: Tensor) -> Tensor:
    """Compute one LSTM layer for one sentence [time, dim], step by step, by its equations."""
    units = layer.hidden_size
    hidden = cell = torch.zeros(units)
    outputs = []
    for step in x:
        gates = layer.weight_ih_l0 @ step + layer.bias_ih_l0
        gates = gates + layer.weight_hh_l0 @ hidden + layer.bias_hh_l0
        write, forget, new, show = gates.split(units)
        cell = forget.sigmoid() * cell + write.sigmoid() * new.tanh()
        hidden = show.sigmoid() * cell.tanh()
        outputs.append(hidden)
    return torch.stack(outputs)


# --- Both directions ------------------------------------------------------------------------------


def test_reversal_turns_every_sequence_and_leaves_padding() -> None:
    index = reversal(torch.tensor(LENGTHS), 5)
    for column, length in enumerate(LENGTHS):
        expected = [*reversed(range(length)), *range(length, 5)]
        assert index[:, column].tolist() == expected


def test_take_time_gathers_whole_vectors() -> None:
    x = torch.rand(4, 2, 3)
    index = torch.tensor([[3, 0], [0, 1]]).unsqueeze(-1)
    taken = take_time(x, index)
    expected = torch.stack([torch.stack([x[3, 0], x[0, 1]]), torch.stack([x[0, 0], x[1, 1]])])
    assert torch.equal(taken, expected)


def test_bidirectional_equals_a_loop_over_sentences() -> None:
    layer = BidirectionalLSTM(3, 4)
    x = torch.randn(5, len(LENGTHS), 3)
    output = layer(x, torch.tensor(LENGTHS))
    for column, length in enumerate(LENGTHS):
        sentence = x[:length, column]
        forwards = lstm_loop(layer.forward_layer, sentence)
        backwards = lstm_loop(layer.backward_layer, sentence.flip(0)).flip(0)
        expected = torch.cat([forwards, backwards], dim=1)
        torch.testing.assert_close(output[:length, column], expected)


def test_padding_changes_no_output_and_gets_no_gradient() -> None:
    layer = BidirectionalLSTM(3, 4)
    x = torch.randn(7, len(LENGTHS), 3, requires_grad=True)
    lengths = torch.tensor(LENGTHS)
    real = torch.arange(7).unsqueeze(1) < lengths  # [time, batch]
    output = layer(x, lengths)[real]
    other = x.detach().masked_fill(~real.unsqueeze(-1), 99.0)
    torch.testing.assert_close(layer(other, lengths)[real], output)
    output.sum().backward()
    assert x.grad is not None
    assert bool((x.grad[~real] == 0).all()) and bool((x.grad[real] != 0).any())


# --- Stacks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("residual", [True, False])
def test_stack_adds_the_input_of_all_layers_but_the_first(residual: bool) -> None:
    stack = LSTMStack(3, 4, 3, NO_DROPOUT, context_dim=2, residual=residual)
    x, context = torch.randn(6, 1, 3), torch.randn(6, 1, 2)
    output, _ = stack(x, context)
    expected = x[:, 0]
    for number, layer in enumerate(stack.layers):
        assert isinstance(layer, nn.LSTM)
        below = expected
        expected = lstm_loop(layer, torch.cat([below, context[:, 0]], dim=1))
        if residual and number > 0:
            expected = expected + below
    torch.testing.assert_close(output[:, 0], expected)


def test_stack_goes_on_from_a_state() -> None:
    stack = LSTMStack(3, 4, 2, NO_DROPOUT)
    x = torch.randn(6, 2, 3)
    whole, state = stack(x)
    first, between = stack(x[:2])
    second, after = stack(x[2:], state=between)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    torch.testing.assert_close(after, state)


@pytest.mark.parametrize("rows", [1, 2, 3, 9])
def test_step_by_step_is_the_whole_however_a_step_is_computed(rows: int) -> None:
    stack = LSTMStack(3, 4, 2, NO_DROPOUT, context_dim=2)
    x, context = torch.randn(6, rows, 3, requires_grad=True), torch.randn(6, rows, 2)
    whole, after = stack(x, context)
    outputs, state = [], None
    for step in range(6):
        output, state = stack(x[step : step + 1], context[step : step + 1], state)
        outputs.append(output)
    torch.testing.assert_close(torch.cat(outputs), whole)
    torch.testing.assert_close(state, after)
    gradients = [torch.autograd.grad(y.square().sum(), x)[0] for y in (whole, torch.cat(outputs))]
    torch.testing.assert_close(*gradients)


def test_a_step_is_computed_in_the_chosen_number_format() -> None:
    stack = LSTMStack(4, 8, 1, NO_DROPOUT)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=native_bfloat16()):
        _, state = stack(torch.randn(3, 2, 4))
        output, _ = stack(torch.randn(1, 2, 4), None, state)
    assert output.dtype == (torch.bfloat16 if native_bfloat16() else torch.float32)


def test_stack_drops_the_input_of_every_layer() -> None:
    seen: list[tuple[int, ...]] = []

    class Counting(Dropout):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(tuple(x.shape))
            return x

    LSTMStack(3, 4, 2, Counting(0.5))(torch.randn(6, 2, 3))
    assert seen == [(6, 2, 3), (6, 2, 4)]


# --- Dropout --------------------------------------------------------------------------------------


@pytest.mark.parametrize("variational", [True, False])
@pytest.mark.parametrize("rate", [0.1, 0.3, 0.8])
def test_dropout_zeroes_at_its_rate_and_keeps_the_mean(rate: float, variational: bool) -> None:
    dropped = Dropout(rate, variational)(torch.ones(20, 100, 200))
    assert float((dropped == 0).float().mean()) == pytest.approx(rate, abs=0.01)
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.03)
    assert len(dropped.unique()) == 2  # what is kept, is scaled alike


def test_variational_mask_is_shared_by_all_steps_but_not_by_sentences() -> None:
    dropped = Dropout(0.5, variational=True)(torch.ones(7, 3, 64))
    assert torch.equal(dropped, dropped[:1].expand_as(dropped))
    assert not torch.equal(dropped[:, 0], dropped[:, 1])


def test_standard_mask_differs_from_step_to_step() -> None:
    dropped = Dropout(0.5)(torch.ones(7, 3, 64))
    assert not torch.equal(dropped[0], dropped[1])


def test_dropout_draws_anew_every_time() -> None:
    dropout, x = Dropout(0.5), torch.ones(2, 3, 64)
    assert not torch.equal(dropout(x), dropout(x))


@pytest.mark.parametrize("variational", [True, False])
def test_dropout_is_identity_in_evaluation_and_at_rate_zero(variational: bool) -> None:
    x = torch.randn(3, 2, 4)
    assert torch.equal(Dropout(0.9, variational).eval()(x), x)
    assert torch.equal(Dropout(0.0, variational)(x), x)


def test_dropout_keeps_the_number_format() -> None:
    assert Dropout(0.5)(torch.ones(2, 3, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize("rate", [-0.1, 1.0, 30.0])
def test_impossible_dropout_rate_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="dropout must be at least 0 and below 1"):
        Dropout(rate)


def test_dropout_of_nearly_everything_stays_finite() -> None:
    assert bool(torch.isfinite(Dropout(0.999)(torch.ones(4, 4, 64))).all())
