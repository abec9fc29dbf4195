"""Lets fairseq's moving average of weights (``--store-ema``) leave memories alone."""

from collections.abc import Iterable, Mapping
from typing import Any

from fairseq.models.ema.ema import EMA
from torch import Tensor, nn

from fairseq_plugins.memory import memories_in
from fairseq_plugins.memory.state import memory_buffers


def not_averaged(state: Mapping[str, Tensor]) -> set[str]:
    """Return names in a model's state dict whose newest value is right and whose average is not.

    These are memories (a slot's key belongs to its value, and slots are reused), and everything
    that is not a real number, such as counters.
    """
    integers = {name for name, tensor in state.items() if not tensor.is_floating_point()}
    return integers | _of_memories(state)


def _of_memories(state: Mapping[str, Tensor]) -> set[str]:
    """Return the names in a model's state dict that belong to memories."""
    return set().union(*(names.values() for names in memory_buffers(state)))


class _WithoutMemories:
    """A model without its memories, for an update of the average."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def state_dict(self) -> dict[str, Tensor]:
        """Return what is averaged, and counters."""
        state = self.model.state_dict()
        left_out = _of_memories(state)
        return {name: entry for name, entry in state.items() if name not in left_out}


_init_ema = EMA.__init__
_step_ema = EMA._step_internal


def _init_ema_without_memory(
    self: EMA, model: nn.Module, config: Any, device: Any = None, skip_keys: Iterable[str] = ()
) -> None:
    _init_ema(self, model, config, device, set(skip_keys) | not_averaged(model.state_dict()))
    # The average shares the model's memory, which is the newest.
    for copied, own in zip(memories_in(self.model), memories_in(model), strict=True):
        copied._buffers = own._buffers
    for name in _of_memories(self.fp32_params):
        self.fp32_params[name] = self.model.state_dict()[name]


def _step_ema_without_memory(self: EMA, new_model: nn.Module, updates: Any = None) -> None:
    _step_ema(self, _WithoutMemories(new_model), updates)


EMA.__init__ = _init_ema_without_memory
EMA._step_internal = _step_ema_without_memory
