"""The controller of a memory-augmented network: an LSTM that reads and writes at every step."""

import torch
from torch import Tensor, nn

from fairseq_plugins.memory.lrua import ExternalMemory


class Controller(nn.Module):
    """An LSTM with or without an external memory (Santoro et al. 2016, section 3.1).

    At every step the LSTM receives the input and what was read last. From its output it emits the
    commands to the memory; the output and what is read then give the answer.

    Args:
        inputs: width of the input.
        units: width of the LSTM.
        outputs: width of the answer.
        memory: to use; None for an LSTM alone.
        heads: number of heads of the memory.
        width: width of the memory's rows.
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        outputs: int,
        memory: ExternalMemory | None,
        heads: int = 0,
        width: int = 0,
    ) -> None:
        super().__init__()
        self.units, self.memory, self.heads = units, memory, heads
        read = heads * width if memory else 0
        self.of_input = nn.Linear(inputs, 4 * units)
        self.of_state = nn.Linear(units + read, 4 * units, bias=False)
        self.emit = nn.Linear(units, heads * sum(memory.emissions)) if memory else None
        self.answer = nn.Linear(units + read, outputs)
        with torch.no_grad():  # the LSTM remembers at first
            self.of_input.bias[units : 2 * units] = 1.0

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute answers [batch, time, outputs] from inputs [batch, time, inputs]."""
        batch = len(inputs)
        gates_of_inputs = self.of_input(inputs).unbind(1)  # all at once, [batch, 4 x units] each
        hidden = cell = inputs.new_zeros(batch, self.units)
        state = self.memory.start(batch, inputs) if self.memory else None
        features = []
        for of_input in gates_of_inputs:
            seen = hidden if state is None else torch.cat([hidden, state.read.flatten(1)], dim=1)
            gates = of_input + self.of_state(seen)
            enter, keep, leave, new = gates.chunk(4, dim=1)
            cell = torch.sigmoid(keep) * cell + torch.sigmoid(enter) * torch.tanh(new)
            hidden = torch.sigmoid(leave) * torch.tanh(cell)
            if state is None:
                features.append(hidden)
                continue
            assert self.memory is not None and self.emit is not None
            emitted = self.emit(hidden).view(batch, self.heads, -1)
            state = self.memory.step(state, *emitted.split(list(self.memory.emissions), dim=2))
            features.append(torch.cat([hidden, state.read.flatten(1)], dim=1))
        return self.answer(torch.stack(features, dim=1))
