"""fairseq's moving average of weights (``--store-ema``), made to leave memories alone."""

from collections.abc import Iterable, Mapping
from typing import Any

from fairseq.models.ema.ema import EMA
from torch import Tensor, nn

from fairseq_plugins.memory import memories_in
from fairseq_plugins.memory.state import memory_buffers


def not_averaged(state: Mapping[str, Tensor]) -> set[str]:
    """Names in a model's state dict of which the newest is right, and the average is nonsense.

    These are the memories (a slot's key belongs to its value, and slots change hands), and
    whatever else is not a real number, such as counters.
    """
    integers = {name for name, tensor in state.items() if not tensor.is_floating_point()}
    return integers | _of_memories(state)


def _of_memories(state: Mapping[str, Tensor]) -> set[str]:
    """Names in a model's state dict that belong to memories."""
    return set().union(*(names.values() for names in memory_buffers(state)))


class _WithoutMemories:
    """A model as an update of the average sees it."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def state_dict(self) -> dict[str, Tensor]:
        """What there is to average, and counters."""
        state = self.model.state_dict()
        left_out = _of_memories(state)
        return {name: entry for name, entry in state.items() if name not in left_out}


_init_ema = EMA.__init__
_step_ema = EMA._step_internal


def _init_ema_without_memory(
    self: EMA, model: nn.Module, config: Any, device: Any = None, skip_keys: Iterable[str] = ()
) -> None:
    _init_ema(self, model, config, device, set(skip_keys) | not_averaged(model.state_dict()))
    # The average has no memory of its own: its buffers are the model's, and so the newest.
    for copied, own in zip(memories_in(self.model), memories_in(model), strict=True):
        copied._buffers = own._buffers
    for name in _of_memories(self.fp32_params):
        self.fp32_params[name] = self.model.state_dict()[name]


def _step_ema_without_memory(self: EMA, new_model: nn.Module, updates: Any = None) -> None:
    _step_ema(self, _WithoutMemories(new_model), updates)


EMA.__init__ = _init_ema_without_memory
EMA._step_internal = _step_ema_without_memory
