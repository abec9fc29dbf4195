"""Encoder and decoder of a Neural GPU, compared with their definitions."""

import torch
from torch import Tensor

from fairseq_plugins.modules.cgru import CGRUStack
from fairseq_plugins.modules.neural_gpu import NeuralGPUDecoder, NeuralGPUEncoder

BATCH, MAPS, COLUMNS, ROWS, STEPS = 2, 6, 5, 4, 4
SYMBOLS, BELOW = 0, 1  # rows of the state


def test_the_encoder_applies_its_stack_once_a_column() -> None:
    stack = CGRUStack(MAPS, 2).eval()
    words = torch.randn(BATCH, COLUMNS, MAPS)
    state = torch.zeros(BATCH, MAPS, COLUMNS, ROWS)
    state[..., SYMBOLS] = words.transpose(1, 2)
    with torch.no_grad():
        found = NeuralGPUEncoder(ROWS, [stack])(words, torch.full((BATCH,), COLUMNS))
        for _ in range(COLUMNS):
            state = stack(state)
    torch.testing.assert_close(found, state)


def test_the_decoder_asks_below_the_next_symbol_and_writes_before_it_steps() -> None:
    stack = CGRUStack(MAPS, 2, tape=True).eval()
    decoder = NeuralGPUDecoder(ROWS, [stack]).eval()
    state = torch.tanh(torch.randn(BATCH, MAPS, COLUMNS, ROWS))
    words, answers = torch.randn(2, STEPS, BATCH, MAPS)
    asked: list[Tensor] = []
    progress = decoder.start(state)
    tape = torch.zeros_like(state)
    with torch.no_grad():
        for step in range(STEPS):

            def ask(query: Tensor, answer: Tensor = answers[step]) -> Tensor:
                asked.append(query)
                return answer

            query = state[:, :, step, BELOW]
            if step:
                tape[:, :, step - 1, SYMBOLS] = words[step]  # what was emitted last
            tape[:, :, step, BELOW] = answers[step]
            state = stack(state, stack.drive(tape))
            word = words[step] if step else None
            progress, place = decoder.step(progress, word, None, ask)
            torch.testing.assert_close(asked[step], query)
            torch.testing.assert_close(progress.state, state)
            torch.testing.assert_close(place, state[:, :, step, SYMBOLS])
