"""The layout of a memory's buffers in a state dict, known here and nowhere else."""

from collections.abc import Mapping

from torch import Tensor

from fairseq_plugins.memory.key_value_memory import KeyValueMemory

_MEMORY_BUFFERS = [name for name, _ in KeyValueMemory(1, 1, 1).named_buffers()]


def memory_buffers(state: Mapping[str, Tensor]) -> list[dict[str, str]]:
    """Find the memories in a model's state dict, by having all buffers of one.

    Args:
        state: of a model, or what a checkpoint holds of it.

    Returns:
        For each memory its buffers' names (``keys``, ``values``, ...) -> their names in ``state``.
    """
    prefixes = [name.removesuffix("values") for name in state if name.endswith("values")]
    candidates = [{name: prefix + name for name in _MEMORY_BUFFERS} for prefix in prefixes]
    return [names for names in candidates if all(name in state for name in names.values())]
