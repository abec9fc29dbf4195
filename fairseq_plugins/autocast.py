"""Which number format matrix products are computed in: what ``--autocast`` chooses.

Weights, sums and the memory stay in float32 whatever is chosen.
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
    "number format of matrix products: bfloat16, none for float32, or auto, which takes bfloat16 "
    "where the processor multiplies it natively and float32 elsewhere"
)


def choose(name: str, device: torch.device | str, purpose: str) -> None:
    """Log which number format a choice means on a device, before anything is computed.

    Args:
        name: one of ``CHOICES``, as the user gave it.
        device: to compute on.
        purpose: what is computed, for the log: "Training".

    Raises:
        InputError: if bfloat16 was asked for by name and the device does not multiply it natively.
    """
    if name == SHORT and not native_bfloat16(device):
        raise InputError(
            f"--autocast {SHORT}: this machine's {torch.device(device).type.upper()} does not "
            f"multiply {SHORT} natively; leave the option out, or give --autocast {AUTO}, which "
            "computes in float32 here"
        )
    logger.info("%s in %s (--autocast %s)", purpose, number_format(name, device), name)


def number_format(name: str, device: torch.device | str) -> str:
    """Return ``bfloat16`` or ``float32``: what a choice means on a device.

    What the device cannot do natively is computed in float32, even if it is chosen by name: so a
    checkpoint that was trained in bfloat16 is usable on every machine.
    """
    return SHORT if name != FLOAT and native_bfloat16(device) else "float32"


def context(name: str, device: torch.device | str) -> AbstractContextManager:
    """Return a context in which products are computed in the number format of a choice."""
    if number_format(name, device) == SHORT:
        return torch.autocast(torch.device(device).type, torch.bfloat16)
    return nullcontext()
