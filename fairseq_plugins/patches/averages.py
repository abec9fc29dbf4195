"""fairseq's moving average of weights (``--store-ema``), made to leave memories alone."""

from collections.abc import Iterable, Mapping
from typing import Any

from fairseq.models.ema.ema import EMA
from torch import Tensor, nn

from fairseq_plugins.memory.state import memory_buffers


def not_averaged(state: Mapping[str, Tensor]) -> set[str]:
    """Names in a model's state dict of which the newest is right, and the average is nonsense.

    These are the memories (a slot's key belongs to its value, and slots change hands), and
    whatever else is not a real number, such as counters.
    """
    integers = {name for name, tensor in state.items() if not tensor.is_floating_point()}
    return integers.union(*(names.values() for names in memory_buffers(state)))


_init_ema = EMA.__init__


def _init_ema_without_memory(
    self: EMA, model: nn.Module, config: Any, device: Any = None, skip_keys: Iterable[str] = ()
) -> None:
    _init_ema(self, model, config, device, set(skip_keys) | not_averaged(model.state_dict()))


EMA.__init__ = _init_ema_without_memory
