"""What is done about quirks of fairseq, hydra, numpy and torch: a file for each family.

Importing this package applies all of them. In fairseq's own programs, bad input is shown as one
line.
"""

import sys

from fairseq_plugins.errors import is_fairseq_program, one_line_errors
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

if is_fairseq_program(sys.argv[0] if sys.argv else ""):
    one_line_errors()
