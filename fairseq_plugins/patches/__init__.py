"""Corrects quirks of fairseq, hydra, numpy and torch; each family has a file.

Importing this package applies all corrections. Those that concern more than fairseq depend on whose
program this is: in fairseq's own programs, invalid input is shown as one line.
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
    ranks,
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
    "ranks",
    "saving",
    "trainings",
    "unknown_words",
    "warnings",
]

if is_fairseqs(running()):
    one_line_errors()
if is_fairseqs(running()) or is_ours(running()):
    warnings.silence()
