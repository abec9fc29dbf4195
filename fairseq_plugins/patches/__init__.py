"""What is done about quirks of fairseq, hydra, numpy and torch: a file for each family.

Importing this package applies all of them. What concerns more than fairseq waits until it is known
whose program this is: in fairseq's own, bad input is shown as one line.
"""

from fairseq_plugins.errors import one_line_errors
from fairseq_plugins.host import is_fairseqs, is_ours, running
from fairseq_plugins.patches import (
    arguments,
    averages,
    broadcasts,
    byte_pieces,
    checkpoints,
    gradients,
    saving,
    trainings,
    unknown_words,
    warnings,
)

__all__ = [
    "arguments",
    "averages",
    "broadcasts",
    "byte_pieces",
    "checkpoints",
    "gradients",
    "saving",
    "trainings",
    "unknown_words",
    "warnings",
]

if is_fairseqs(running()):
    one_line_errors()
if is_fairseqs(running()) or is_ours(running()):
    warnings.silence()
