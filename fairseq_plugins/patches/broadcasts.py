"""Lets fairseq broadcast tensors of any type between processes.

When several processes resume a training, the first one sends the checkpoint to the others. Gloo,
which connects processes on CPUs, does not support all types: short integers, which count terms, are
an "Invalid scalar type". It supports bytes.
"""

from typing import Any

import torch
from fairseq.distributed import utils as distributed_utils
from torch import Tensor

_broadcast = distributed_utils.broadcast


def _broadcast_of_any_type(tensor: Tensor, *args: Any, **kwargs: Any) -> None:
    """Send a tensor as bytes. The receivers have a contiguous tensor that these bytes belong to."""
    _broadcast(tensor.reshape(-1).view(torch.uint8), *args, **kwargs)


distributed_utils.broadcast = _broadcast_of_any_type
