"""The number format of matrix products, as chosen by ``--autocast``.

Weights, sums and the memory are float32 with every choice.
"""

import logging
from contextlib import AbstractContextManager, nullcontext

import torch

from fairseq_plugins.errors import InputError
from fairseq_plugins.number_formats import native_bfloat16

logger = logging.getLogger(__name__)

AUTO, FLOAT, SHORT = "auto", "none", "bfloat16"
CHOICES = (AUTO, FLOAT, SHORT)
HELP = (
    "number format of matrix products: bfloat16, none for float32, or auto for bfloat16 where it "
    "is native and float32 elsewhere"
)


def choose(name: str, device: torch.device | str, purpose: str) -> None:
    """Log which number format a choice means on a device, before any computation.

    Args:
        name: one of ``CHOICES``, as the user gave it.
        device: that computes.
        purpose: what is computed, for the log: "Training".

    Raises:
        InputError: if bfloat16 was chosen by name and the device does not multiply it natively.
    """
    if name == SHORT and not native_bfloat16(device):
        raise InputError(
            f"--autocast {SHORT}: this machine's {torch.device(device).type.upper()} does not "
            f"multiply {SHORT} natively; omit the option, or use --autocast {AUTO}, which "
            "computes in float32 here"
        )
    logger.info("%s in %s (--autocast %s)", purpose, number_format(name, device), name)


def number_format(name: str, device: torch.device | str) -> str:
    """Return the number format that a choice means on a device: ``bfloat16`` or ``float32``.

    If bfloat16 is chosen but not native, the format is float32, so that a checkpoint that was
    trained in bfloat16 can be used on every machine.
    """
    return SHORT if name != FLOAT and native_bfloat16(device) else "float32"


def context(name: str, device: torch.device | str) -> AbstractContextManager:
    """Return a context in which products use the number format of a choice."""
    if number_format(name, device) == SHORT:
        return torch.autocast(torch.device(device).type, torch.bfloat16)
    return nullcontext()
