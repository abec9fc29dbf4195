"""External memories, compared with plain NumPy written from the papers' equations."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fairseq_plugins.memory.lrua import (
    EMPTY,
    FRESH,
    LRUAMemory,
    MemoryState,
    NTMMemory,
    content_weights,
    least_used,
    located,
)

BATCH, SLOTS, WIDTH, HEADS = 3, 7, 5, 2


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softplus(x: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(x))


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum()


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def emitted(memory: Any) -> list[Tensor]:
    return [torch.randn(BATCH, HEADS, width) for width in memory.emissions]


def run(memory: Any, steps: int) -> tuple[list[list[Tensor]], list[MemoryState]]:
    states, said = [memory.start(BATCH, torch.zeros(()))], []
    for _ in range(steps):
        said.append(emitted(memory))
        states.append(memory.step(states[-1], *said[-1]))
    return said, states


def lrua_oracle(said: list[list[Tensor]], decay: float, example: int) -> dict[str, np.ndarray]:
    """Compute equations 2 to 8 of Santoro et al. 2016, number by number; return the state."""
    rows = np.full((SLOTS, WIDTH), EMPTY)
    reads = np.zeros((HEADS, SLOTS))
    reads[:, 0] = 1
    usage = FRESH * np.arange(SLOTS)
    for step in said:
        key, addend, alpha, strength = (tensor[example].double().numpy() for tensor in step)
        threshold = np.sort(usage)[HEADS - 1]
        unused = np.array([1.0 if used <= threshold else 0.0 for used in usage])
        writes = np.array(
            [sigmoid(alpha[h]) * reads[h] + (1 - sigmoid(alpha[h])) * unused for h in range(HEADS)]
        )
        rows[int(np.argmin(usage))] = EMPTY
        for h in range(HEADS):
            for i in range(SLOTS):
                rows[i] = rows[i] + writes[h, i] * addend[h]
        reads = np.array(
            [
                softmax(
                    (1 + softplus(strength[h])) * np.array([cosine(key[h], row) for row in rows])
                )
                for h in range(HEADS)
            ]
        )
        usage = decay * usage + reads.sum(0) + writes.sum(0)
    return {"rows": rows, "usage": usage, "read_weights": reads, "read": reads @ rows}


def test_lrua_follows_the_equations() -> None:
    torch.manual_seed(1)
    memory = LRUAMemory(SLOTS, WIDTH, HEADS, decay=0.9)
    said, states = run(memory, 12)
    for example in range(BATCH):
        for name, expected in lrua_oracle(said, 0.9, example).items():
            found = getattr(states[-1], name)[example].double().numpy()
            np.testing.assert_allclose(found, expected, atol=1e-4, err_msg=name)


def test_the_least_used_are_those_not_above_the_nth_smallest() -> None:
    usage = torch.tensor([[0.3, 0.1, 0.2, 0.2, 0.9]])
    assert least_used(usage, 1).tolist() == [[0, 1, 0, 0, 0]]
    assert least_used(usage, 2).tolist() == [[0, 1, 1, 1, 0]]  # a tie


def test_what_is_written_to_an_unused_place_is_read_again() -> None:
    memory = LRUAMemory(20, 8, 1)
    state = memory.start(1, torch.zeros(()))
    things = torch.eye(8)[:5]
    closed, sure = torch.full((1, 1, 1), -20.0), torch.full((1, 1, 1), 50.0)
    for thing in things:  # alpha closed: to the least used place
        said = thing.view(1, 1, -1)
        state = memory.step(state, said, said, closed, sure)
    nothing = torch.zeros(1, 1, 8)
    for thing in things:
        state = memory.step(state, thing.view(1, 1, -1), nothing, closed, sure)
        torch.testing.assert_close(state.read.flatten(), thing, atol=0.01, rtol=0)


def test_an_open_gate_writes_where_was_read() -> None:
    memory = LRUAMemory(SLOTS, WIDTH, 1)
    said = [torch.randn(1, 1, width) for width in memory.emissions]
    said[2] = torch.full((1, 1, 1), 20.0)
    state = memory.step(memory.start(1, torch.zeros(())), *said)
    following = memory.step(state, *said)
    torch.testing.assert_close(following.write_weights, state.read_weights, atol=1e-5, rtol=0)


def ntm_oracle(said: list[list[Tensor]], example: int) -> dict[str, np.ndarray]:
    """Compute section 3 of Graves et al. 2014, number by number."""

    def address(rows: np.ndarray, before: np.ndarray, key: Any, *numbers: Any) -> np.ndarray:
        strength, gate, shift, sharpness = numbers
        content = softmax(softplus(strength) * np.array([cosine(key, row) for row in rows]))
        mixed = sigmoid(gate) * content + (1 - sigmoid(gate)) * before
        moves = softmax(shift)
        moved = [
            sum(moves[s] * mixed[(i - (s - 1)) % SLOTS] for s in range(3)) for i in range(SLOTS)
        ]
        sharp = (np.array(moved) + EMPTY) ** (1 + softplus(sharpness))
        return sharp / sharp.sum()

    rows = np.full((SLOTS, WIDTH), EMPTY)
    reads, writes = np.zeros((2, HEADS, SLOTS))
    reads[:, 0] = writes[:, 0] = 1
    for step in said:
        erase, add, *rest = (tensor[example].double().numpy() for tensor in step)
        writes = np.array(
            [address(rows, writes[h], *(part[h] for part in rest[:5])) for h in range(HEADS)]
        )
        for h in range(HEADS):
            rows = rows * (1 - np.outer(writes[h], sigmoid(erase[h])))
        for h in range(HEADS):
            rows = rows + np.outer(writes[h], np.tanh(add[h]))
        reads = np.array(
            [address(rows, reads[h], *(part[h] for part in rest[5:])) for h in range(HEADS)]
        )
    return {"rows": rows, "read_weights": reads, "write_weights": writes, "read": reads @ rows}


def test_the_turing_machine_follows_the_equations() -> None:
    torch.manual_seed(1)
    said, states = run(NTMMemory(SLOTS, WIDTH, HEADS), 6)
    for example in range(BATCH):
        for name, expected in ntm_oracle(said, example).items():
            found = getattr(states[-1], name)[example].double().numpy()
            np.testing.assert_allclose(found, expected, atol=1e-4, err_msg=name)


def test_a_shift_moves_the_attention_on() -> None:
    previous = torch.zeros(1, 1, SLOTS)
    previous[..., 3] = 1
    shut, onward = torch.full((1, 1, 1), -30.0), torch.tensor([[[-30.0, -30.0, 30.0]]])
    weights = located(
        torch.randn(1, SLOTS, WIDTH), previous, torch.randn(1, 1, WIDTH), shut, shut, onward, shut
    )
    assert weights.argmax().item() == 4 and weights.max() > 0.99


def test_content_weights_prefer_what_points_the_same_way() -> None:
    rows = torch.randn(1, SLOTS, WIDTH)
    weights = content_weights(5 * rows[:, 2:3], rows, torch.full((1, 1, 1), 30.0))
    assert weights.argmax().item() == 2
    torch.testing.assert_close(weights.sum(), torch.tensor(1.0))


@pytest.mark.parametrize("kind", [LRUAMemory, NTMMemory])
def test_gradients_reach_everything_that_is_emitted(kind: type) -> None:
    torch.manual_seed(1)
    memory = kind(SLOTS, WIDTH, HEADS)
    state = memory.start(BATCH, torch.zeros(()))
    said = [[tensor.requires_grad_() for tensor in emitted(memory)] for _ in range(3)]
    for step in said:
        state = memory.step(state, *step)
    state.read.pow(2).sum().backward()
    for tensor in said[1]:
        assert tensor.grad is not None and torch.isfinite(tensor.grad).all()
        assert tensor.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", [LRUAMemory, NTMMemory])
def test_impossible_sizes_are_an_error(kind: type) -> None:
    with pytest.raises(ValueError, match="at least one of width"):
        kind(4, 0, 1)
    with pytest.raises(ValueError, match="5 heads cannot each have a place in 4 slots"):
        kind(4, 3, 5)
    with pytest.raises(ValueError, match="decay"):
        LRUAMemory(4, 3, 1, decay=1.0)
