"""CGRUs against their equations, written out again in NumPy."""

import numpy as np
import pytest
import torch

from fairseq_plugins.modules.cgru import CGRU, CGRUStack, saturating_sigmoids

M, H, N = 3, 4, 5


def sig(x: np.ndarray) -> np.ndarray:
    return np.clip(1.2 / (1 + np.exp(-x)) - 0.1, 0, 1)


def convolve(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """[in, n, h] * [out, in, 3, 3], zeros around the image."""
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
    result = np.zeros((len(kernel), *image.shape[1:]))
    for column in range(image.shape[1]):
        for row in range(image.shape[2]):
            window = padded[:, column : column + 3, row : row + 3]
            result[:, column, row] = (kernel * window).sum(axis=(1, 2, 3))
    return result


def moved(state: np.ndarray) -> np.ndarray:
    """Move the first of three maps a column forward, the second a column back: [3, n, h]."""
    nothing = np.zeros((1, H))
    on, back, rest = state
    return np.stack([np.concatenate([nothing, on[:-1]]), np.concatenate([back[1:], nothing]), rest])


def equations(
    stack: CGRUStack, state: np.ndarray, tape: np.ndarray, diagonal: bool = False
) -> np.ndarray:
    """Compute one step as in the papers; the kernels of r, u and c see the tape and the state."""
    weights = {name: value.detach().double().numpy() for name, value in stack.named_parameters()}
    for layer in range(len(stack.units)):
        of_tape = weights["of_tape.weight"][3 * M * layer : 3 * M * (layer + 1)]
        kernels = np.concatenate(
            [weights[f"units.{layer}.gates.weight"], weights[f"units.{layer}.candidate.weight"]]
        )
        biases = np.concatenate(
            [weights[f"units.{layer}.gates.bias"], weights[f"units.{layer}.candidate.bias"]]
        )
        r_kernel, u_kernel, c_kernel = np.split(np.concatenate([of_tape, kernels], axis=1), 3)
        r_bias, u_bias, c_bias = np.split(biases[:, None, None], 3)
        both = np.concatenate([tape, state])
        reset, update = (
            sig(convolve(both, kernel) + bias)
            for kernel, bias in ((r_kernel, r_bias), (u_kernel, u_bias))
        )
        candidate = np.tanh(convolve(np.concatenate([tape, reset * state]), c_kernel) + c_bias)
        state = update * (moved(state) if diagonal else state) + (1 - update) * candidate
    return state


def images(n: int = N, h: int = H) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    return tuple(2 * torch.randn(2, M, n, h, generator=draw) for _ in range(2))  # type: ignore[return-value]


@pytest.mark.parametrize("diagonal", [False, True])
def test_a_step_is_that_of_the_equations(diagonal: bool) -> None:
    torch.manual_seed(2)
    stack, (state, tape) = CGRUStack(M, layers=2, tape=True, diagonal=diagonal), images()
    result = stack(state, stack.drive(tape)).detach().numpy()
    for row in range(2):
        given = (image[row].double().numpy() for image in (state, tape))
        expected = equations(stack, *given, diagonal)
        np.testing.assert_allclose(result[row], expected, atol=1e-5)


def test_gates_are_open_at_first() -> None:
    stack = CGRUStack(M, layers=1)
    assert stack.units[0].gates.bias.tolist() == [1.0] * 2 * M
    assert stack.units[0].candidate.bias.tolist() == [0.0] * M


def test_the_sigmoid_reaches_its_ends() -> None:
    x = torch.tensor([-9.0, 0.0, 9.0, 0.0, 9.0, -9.0]).view(1, 6, 1, 1)
    first, others = saturating_sigmoids(x)
    assert first.flatten().tolist() == [0.0, 0.5, 1.0]
    assert others.flatten().tolist() == [0.5, 1.0, 0.0]


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("driven", [True, False])
def test_derivatives(driven: bool, diagonal: bool, dropout: float) -> None:
    torch.manual_seed(2)
    n, h = 3, 2  # the numeric derivatives of every number take long
    unit, (state, _) = CGRU(M, diagonal).double(), images(n, h)
    for parameter in unit.parameters():
        parameter.data.mul_(2)  # so that some gates are cut off
    drive = torch.randn(2, 3 * M, n, h, dtype=torch.float64) if driven else None
    given = [state.double(), *([drive] if driven else []), *unit.parameters()]
    inputs = [tensor.detach().requires_grad_() for tensor in given]

    def step(*tensors: torch.Tensor) -> torch.Tensor:
        names = dict(zip(dict(unit.named_parameters()), tensors[-4:], strict=True))
        torch.manual_seed(3)  # the same is dropped every time
        return torch.func.functional_call(unit, names, tensors[:-4], {"dropout": dropout})

    assert torch.autograd.gradcheck(step, inputs)


def test_bfloat16_comes_close() -> None:
    torch.manual_seed(2)
    unit, (state, _) = CGRU(M), images()
    exact = unit(state)
    exact.sum().backward()
    expected = unit.gates.weight.grad.clone()
    unit.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = unit(state)
    rounded.float().sum().backward()
    torch.testing.assert_close(rounded.float(), exact, rtol=0, atol=0.05)
    error = unit.gates.weight.grad - expected
    assert float(error.norm() / expected.norm()) < 0.05


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("diagonal", [False, True])
def test_on_cuda_it_computes_the_same(diagonal: bool) -> None:
    torch.manual_seed(2)
    stack, (state, tape) = CGRUStack(M, layers=2, tape=True, diagonal=diagonal), images()
    results = []
    for device in ("cpu", "cuda"):
        stack.to(device).zero_grad()
        state, tape = state.to(device), tape.to(device)
        result = stack(state, stack.drive(tape))
        result.sum().backward()
        gradients = [parameter.grad.flatten().cpu() for parameter in stack.parameters()]
        results.append(torch.cat([result.detach().flatten().cpu(), *gradients]))
    torch.testing.assert_close(*results, rtol=1e-3, atol=1e-3)


def test_inactive_columns_stay_as_they_are() -> None:
    stack, (state, _) = CGRUStack(M, layers=2), images()
    active = torch.zeros(2, 1, N, 1, dtype=torch.bool)
    active[0, :, :3] = True
    result = stack(state, active=active)
    assert torch.equal(result[1], state[1]) and torch.equal(result[0, :, 3:], state[0, :, 3:])
    assert not torch.equal(result[0, :, :3], state[0, :, :3])


def disturbed(stack: CGRUStack, state: torch.Tensor, bias: float) -> torch.Tensor:
    """Return a step whose gates are all open or all closed, in training."""
    torch.manual_seed(1)
    with torch.no_grad():
        stack.units[0].gates.bias.fill_(bias)
        stack.units[0].candidate.bias.fill_(1.0)  # or there is no c without a state
        return stack.train()(state)


@pytest.mark.parametrize("columns", [4, 400])
def test_dropout_is_rarer_in_long_states(columns: int) -> None:
    stack = CGRUStack(8, layers=1, dropout=0.8)
    # A unit that carries nothing on: all of the state is c.
    result = disturbed(stack, torch.ones(20, 8, columns, 2), bias=-99)
    assert float((result == 0).float().mean()) == pytest.approx(0.8 / columns**0.5, rel=0.1)


def test_what_is_carried_on_is_never_dropped() -> None:
    state = torch.randn(20, 8, 4, 2)
    assert torch.equal(disturbed(CGRUStack(8, layers=1, dropout=0.8), state, bias=99), state)


def test_nothing_is_dropped_after_training() -> None:
    stack, (state, _) = CGRUStack(M, layers=2, dropout=0.8).eval(), images()
    without = CGRUStack(M, layers=2)
    without.load_state_dict(stack.state_dict())
    assert torch.equal(stack(state), without(state))
